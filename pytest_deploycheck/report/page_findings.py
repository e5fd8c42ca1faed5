"""The parts of the HTML report that come first: what to fix, what changed, and the pictures that tell most."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from pytest_deploycheck.outcome import Result, Status
from pytest_deploycheck.report.document import Report
from pytest_deploycheck.report.drawings import figure
from pytest_deploycheck.report.icons import OF_STATUS, icon
from pytest_deploycheck.report.markup import Markup, element, joined
from pytest_deploycheck.report.page_checks import fix, words_of

# What tells most of a deployment, each with the charts that are shown: the rest stands at its check.
TOLD_BY = ("RST002", "RST009", "MEM003", "RES002", "RST001", "MEM001")
MOST_PICTURES, MOST_OF_BAD = 5, 3
TO_DO = (Status.FAILED, Status.BLOCKED, Status.WARNED)


def section(name: str, title: str, *content: Markup | None) -> Markup:
    """Return a section of the page with its heading."""
    return element(
        "section",
        element("h2", title, id=f"{name}-title"),
        *content,
        id=name,
        aria_labelledby=f"{name}-title",
    )


def to_do(report: Report) -> Markup | None:
    """Return what failed, and how it is mended."""
    problems = [_problem(result) for result in report.with_status(Status.FAILED, Status.WARNED)]
    problems += [_blocked(reason, results) for reason, results in report.blocked_by.items()]
    return section("fix", "What to fix", *problems) if problems else None


def _problem(result: Result) -> Markup:
    return element(
        "article",
        element(
            "h3",
            icon(OF_STATUS[result.status]),
            element("a", result.id, href=f"#{result.id}"),
            f" {result.title}",
            element("span", words_of(result), class_="aside"),
        ),
        element("p", result.seen or result.detail, class_="happened"),
        element("p", "How to mend it", class_="fix"),
        fix(result),
        class_=f"problem {OF_STATUS[result.status]}",
    )


def _blocked(reason: str, results: Sequence[Result]) -> Markup:
    links = [element("a", result.id, href=f"#{result.id}") for result in results]
    count = f"{len(links)} check{'s are' if len(links) > 1 else ' is'} blocked"
    return element(
        "article",
        element("h3", icon(OF_STATUS[Status.BLOCKED]), count),
        element("p", reason, class_="happened"),
        element("p", *_separated(links)),
        class_="problem bad",
    )


def changes(report: Report) -> Markup | None:
    """Return what changed since the baseline."""
    found = report.changes
    if found is None:
        return None
    rows = [
        joined(
            element("dt", name), element("dd", *_separated(element("a", one, href=f"#{one}") for one in ids))
        )
        for name, ids in found.told
    ]
    content = element("dl", *rows, class_="story") if rows else element("p", "Nothing has changed.")
    return section("changes", f"Since {Path(found.baseline).name}", content)


def _separated(links: Iterable[Markup]) -> list[str | Markup]:
    return [part for link in links for part in (link, " ")]


def pictures(report: Report) -> Markup | None:
    """Show what tells most; what failed comes first."""
    by_id = {result.id: result for result in report.checks if result.charts}
    bad = [result.id for result in by_id.values() if result.status in TO_DO]
    chosen = list(dict.fromkeys([*bad[:MOST_OF_BAD], *(one for one in TOLD_BY if one in by_id)]))[
        :MOST_PICTURES
    ]
    drawn = [
        element(
            "div",
            element("p", element("a", check_id, href=f"#{check_id}"), f" {by_id[check_id].title}"),
            figure(by_id[check_id].charts[0]),
            class_="picture",
        )
        for check_id in chosen
    ]
    return section("pictures", "The run in pictures", *drawn) if drawn else None
