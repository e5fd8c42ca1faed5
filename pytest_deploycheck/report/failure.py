"""How a failure reads: the promise, what was done, expected, what happened, the fix, and where to learn more."""

from __future__ import annotations

import textwrap

from pytest_deploycheck.outcome import Result

WIDTH = 110
LABEL_WIDTH = 10


def render(result: Result, log: str) -> str:
    """Return the failure block of one check; all texts are masked already, for masking cannot see what was cut."""
    rows = [
        ("done", "\n".join(result.done)),
        ("expected", result.expected),
        ("happened", result.seen),
        ("state", result.state),
        ("log", _shortened(log)),
        *(("fix", str(advice)) for advice in result.advice),
        ("fix", result.fix),
        ("learn", result.learn),
    ]
    promise = f"{result.id}: {result.title}"
    return "\n".join([promise, *(_row(label, text) for label, text in rows if text)])


def _shortened(log: str) -> str:
    """Cut log lines, which are long and rarely the point, to the width of the block."""
    width = WIDTH - LABEL_WIDTH
    return "\n".join(line if len(line) <= width else f"{line[: width - 1]}…" for line in log.splitlines())


def _row(label: str, text: str) -> str:
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, WIDTH - LABEL_WIDTH) or [""]]
    indent = " " * LABEL_WIDTH
    return f"{label:<{LABEL_WIDTH}}" + f"\n{indent}".join(lines)
