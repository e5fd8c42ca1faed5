"""How a failure reads: the promise, what was done, expected, what happened, the fix, and where to learn more."""

from __future__ import annotations

import re
import textwrap

from pytest_deploycheck.check import Check
from pytest_deploycheck.stacks.protocol import Stack

WIDTH = 110
LABEL_WIDTH = 10
LOG_LINES = 3


def render(record: Check, steps: list[str], happened: str, stack: Stack | None) -> str:
    """Return the failure block of one check, secrets masked."""
    rows = [
        ("done", "\n".join([record.act, *steps])),
        ("expected", record.expect),
        ("happened", happened),
    ]
    if stack is not None:
        rows.append(("state", stack.state()))
        rows.append(("log", _shortened(stack.log_tail(LOG_LINES))))
        rows += [("fix", str(advice)) for advice in stack.advice(record.id)]
    rows.append(("fix", record.fix))
    rows.append(("learn", record.url))
    promise = f"{record.id}: {record.title}"
    return masked("\n".join([promise, *(_row(label, text) for label, text in rows if text)]), stack)


def _shortened(log: str) -> str:
    """Cut log lines, which are long and rarely the point, to the width of the block."""
    width = WIDTH - LABEL_WIDTH
    return "\n".join(line if len(line) <= width else f"{line[: width - 1]}…" for line in log.splitlines())


def _row(label: str, text: str) -> str:
    lines = [part for line in text.splitlines() for part in textwrap.wrap(line, WIDTH - LABEL_WIDTH) or [""]]
    indent = " " * LABEL_WIDTH
    return f"{label:<{LABEL_WIDTH}}" + f"\n{indent}".join(lines)


def masked(text: str, stack: Stack | None) -> str:
    """Replace the values of secret settings, which logs may repeat."""
    if stack is None:
        return text
    for name in stack.config.secrets:
        value = stack.config.env.get(name, "")
        if len(value) >= 4:
            text = re.sub(re.escape(value), f"<{name}>", text)
    return text
