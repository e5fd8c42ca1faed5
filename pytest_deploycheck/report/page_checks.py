"""The part of the HTML report that tells of each check."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_deploycheck.outcome import Result, Status
from pytest_deploycheck.report.document import Report
from pytest_deploycheck.report.drawings import figure
from pytest_deploycheck.report.figures import measurements
from pytest_deploycheck.report.icons import OF_STATUS, OF_VERDICT, icon
from pytest_deploycheck.report.markup import Markup, element, joined, prose
from pytest_deploycheck.report.verdicts import Verdict

# What a check's experiment does in the background takes no time of the check's own.
SHORTEST_S = 0.05
OPEN = (Status.FAILED, Status.WARNED, Status.BLOCKED)


def words_of(result: Result) -> str:
    """Return a status in words, with what it rests on."""
    words = str(result.status).replace("_", " ")
    return f"{words}, {result.evidence}" if result.evidence else words


def concept_sections(report: Report) -> Markup:
    """Return a section for each concept of which a check ran."""
    return joined(
        *(
            _concept(verdict, [one for one in report.checks if one.concept == verdict.concept.slug])
            for verdict in report.verdicts
            if verdict.verdict != "not_tried"
            or any(one.concept == verdict.concept.slug for one in report.checks)
        )
    )


def _concept(verdict: Verdict, results: Sequence[Result]) -> Markup:
    words = verdict.verdict.replace("_", " ")
    heading = element(
        "h3",
        icon(OF_VERDICT[verdict.verdict]),
        verdict.concept.title,
        element("span", f"{verdict.passed} of {verdict.total} observed, {words}", class_="aside"),
    )
    return element("section", heading, *map(_check, results), id=verdict.concept.slug, class_="concept")


def _check(result: Result) -> Markup:
    summary = element(
        "summary",
        icon(OF_STATUS[result.status]),
        element("code", result.id),
        element("span", result.title, class_="title"),
        element("span", words_of(result), class_="status"),
        element(
            "span", f"{result.duration_s:.1f} s" if result.duration_s >= SHORTEST_S else "", class_="took"
        ),
    )
    tone = OF_STATUS[result.status]
    return element(
        "details",
        summary,
        _body(result),
        id=result.id,
        class_=f"check {tone}",
        open=result.status in OPEN,
    )


def _body(result: Result) -> Markup:
    is_bad = result.status in OPEN
    rows = [
        _row("Promise", result.title),
        _row(
            "Done",
            element("ul", *(element("li", prose(step)) for step in result.done)) if result.done else None,
        ),
        _row("Expected", prose(result.expected)),
        _row("Seen", _seen(result)),
        _row("State", result.state),
        _row("Fix", fix(result) if is_bad else None),
    ]
    return element(
        "div",
        element("dl", *rows, class_="story"),
        *map(figure, result.charts),
        measurements(result.measurements),
        logs(result),
        _learn(result),
        class_="body",
    )


def _learn(result: Result) -> Markup | None:
    """Return the link to what explains the check; own checks of a project may lead anywhere, or nowhere."""
    if not result.learn.startswith(("https://", "http://")):
        return element("p", result.learn) if result.learn else None
    return element("p", element("a", f"What {result.id} is about", href=result.learn))


def _row(name: str, content: str | Markup | None) -> Markup | None:
    return joined(element("dt", name), element("dd", content)) if content else None


def _seen(result: Result) -> str:
    """Return what was seen; the whole failure message of a report that does not have it apart."""
    if result.status is Status.PASSED:
        return (
            "what was expected"
            if result.evidence == "observed"
            else "it is declared, this machine cannot show it"
        )
    return result.seen or result.detail


def fix(result: Result) -> Markup:
    """Return how a failure is mended: where in this project, and in any."""
    places = [
        element(
            "li",
            element("code", f"{advice.file}:{advice.line}" if advice.line else advice.file),
            " ",
            prose(advice.text),
        )
        for advice in result.advice
    ]
    return joined(
        element("p", prose(result.fix)), element("ul", *places, class_="places") if places else None
    )


def logs(result: Result) -> Markup | None:
    """Return excerpts of the logs."""
    if not result.log:
        return None
    return element(
        "details",
        element("summary", f"Log excerpts: {', '.join(result.log)}"),
        *(
            joined(element("h4", name), element("pre", "\n".join(lines)))
            for name, lines in result.log.items()
            if lines
        ),
        class_="logs",
    )
