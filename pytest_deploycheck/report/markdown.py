"""``summary.md``: the run in one screen, for the page of a CI job."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from html import escape
from pathlib import Path

from pytest_deploycheck.check import Concept
from pytest_deploycheck.outcome import Result, Status
from pytest_deploycheck.report.document import Report, in_words
from pytest_deploycheck.report.markup import clean
from pytest_deploycheck.report.verdicts import Verdict, is_observed

SIGNS = {"covered": "✅", "failed": "❌", "not_covered": "⚠️", "not_tried": "⏺️"}
SPECIAL = re.compile(r"[\\`*_\[\]<>#!|~$&]")
# The page of a job takes 1 MiB; a failure's block is rarely above 4 kB.
LONGEST_BLOCK = 8_000
TO_DO = (Status.FAILED, Status.WARNED)


def summary(report: Report) -> str:
    """Return GitHub's Markdown, which other forges show too."""
    stack = in_words(report.stack)
    parts = [
        f"## Deployment of {escaped(report.project)}: {report.covered} of {len(Concept)} concepts covered",
        escaped(f"{stack}, {report.duration_s:.0f} s" if stack else "No stack could be run."),
        "\n".join(_concepts(report.verdicts)),
        *_changes(report),
        *map(_problem, report.with_status(*TO_DO)),
        *(_blocked(reason, results) for reason, results in report.blocked_by.items()),
        "\n".join(_others(report.checks)),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _concepts(verdicts: Iterable[Verdict]) -> Iterator[str]:
    yield "| | Concept | Observed | |"
    yield "|---|---|---|---|"
    for verdict in verdicts:
        words = verdict.verdict.replace("_", " ")
        yield f"| {SIGNS[verdict.verdict]} | {verdict.concept.title} | {verdict.passed} of {verdict.total} | {words} |"


def _changes(report: Report) -> Iterator[str]:
    if report.changes is None:
        return
    told = [f"- {name}: {', '.join(map(escaped, ids))}" for name, ids in report.changes.told]
    yield f"### Since {escaped(Path(report.changes.baseline).name)}\n\n" + (
        "\n".join(told) or "Nothing has changed."
    )


def _problem(result: Result) -> str:
    """Return a failure as a block that can be unfolded."""
    title = f"<code>{escape(result.id)}</code> {escape(_in_one_line(result.title))}: {_words(result)}"
    return _block(title, result.detail, _places(result))


def _blocked(reason: str, results: Sequence[Result]) -> str:
    ids = " ".join(f"<code>{escape(result.id)}</code>" for result in results)
    return _block(f"{ids}: blocked", reason)


def _block(title: str, text: str, more: str = "") -> str:
    """Return a block that can be unfolded. The title is HTML; the text is code, in which nothing is markup."""
    text = clean(text)[:LONGEST_BLOCK]
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"<details><summary>{title}</summary>\n\n{fence}text\n{text}\n{fence}\n\n{more}</details>"


def _places(result: Result) -> str:
    told = [
        f"- {escaped(f'{advice.file}:{advice.line}' if advice.line else advice.file)}: {escaped(advice.text)}\n"
        for advice in result.advice
    ]
    return f"{''.join(told)}\n" if told else ""


def _others(results: Iterable[Result]) -> Iterator[str]:
    """List what is neither observed nor told of above."""
    for result in results:
        if not is_observed(result) and result.status not in (*TO_DO, Status.BLOCKED):
            first_line = (result.detail.splitlines() or [str(result.evidence)])[0]
            yield f"- `{result.id}` {escaped(result.title)}: {_words(result)} ({escaped(first_line)})"


def _words(result: Result) -> str:
    return str(result.status).replace("_", " ")


def escaped(text: str) -> str:
    """Return a text in which nothing is markup, in one line."""
    return SPECIAL.sub(r"\\\g<0>", _in_one_line(text))


def _in_one_line(text: str) -> str:
    return clean(" ".join(text.split()))
