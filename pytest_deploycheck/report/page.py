"""``report.html``: one file that asks for nothing from the network."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from pytest_deploycheck.check import COURSE_URL, Concept
from pytest_deploycheck.outcome import Result, Status
from pytest_deploycheck.report.document import Report
from pytest_deploycheck.report.drawings import figure
from pytest_deploycheck.report.icons import OF_STATUS, OF_VERDICT, icon
from pytest_deploycheck.report.markup import Markup, element, joined
from pytest_deploycheck.report.page_checks import concept_sections, fix, words_of
from pytest_deploycheck.report.stack_drawing import stack_drawing
from pytest_deploycheck.report.verdicts import Verdict

STYLE = Path(__file__).with_name("page.css")
SCRIPT = Path(__file__).with_name("page.js")
# What tells most of a deployment, each with the charts that are shown: the rest stands at its check.
TOLD_BY = ("RST002", "RST009", "MEM003", "RES002", "RST001", "MEM001")
MOST_PICTURES, MOST_OF_BAD = 5, 3
TO_DO = (Status.FAILED, Status.BLOCKED, Status.WARNED)
SLOWEST = 8


def page(report: Report) -> str:
    """Return the whole document."""
    style, script = (Markup(file.read_text(encoding="utf-8")) for file in (STYLE, SCRIPT))
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'"
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{report.project}: {_covered(report)}"),
        element("style", style),
    )
    sections = [section for section in _sections(report) if section]
    body = element(
        "body",
        element("a", "Skip to the content", href="#content", class_="skip"),
        _header(report),
        element("main", *sections, id="content", tabindex=-1),
        _footer(report),
        element("script", script),
    )
    return "<!doctype html>\n" + element("html", head, body, lang="en") + "\n"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _covered(report: Report) -> str:
    return f"{report.covered} of {len(Concept)} concepts covered"


def _sections(report: Report) -> Iterator[Markup | None]:
    yield _section("overview", "Overview", element("div", *map(_card, report.verdicts), class_="cards"))
    yield _section("stack", "The stack", stack_drawing(report)) if report.stack else None
    yield _to_do(report)
    yield _changes(report)
    yield _pictures(report)
    yield _section("checks", "The checks", _filter(report), concept_sections(report))
    yield _section("moved", "What was moved into the sandbox", _moved(report)) if report.relocated else None
    yield _section("time", "Where the time went", _time(report)) if report.timings else None


def _section(name: str, title: str, *content: Markup | None) -> Markup:
    return element(
        "section",
        element("h2", title, id=f"{name}-title"),
        *content,
        id=name,
        aria_labelledby=f"{name}-title",
    )


def _header(report: Report) -> Markup:
    failed = report.with_status(Status.FAILED, Status.BLOCKED)
    everything = report.covered == len(Concept)
    tone = "bad" if failed else "good" if everything else "weak"
    parts = " + ".join(report.stack.values()) or "no stack could be run"
    found = Counter(result.status for result in report.checks)
    counts = [f"{found[status]} {status.replace('_', ' ')}" for status in Status if found[status]]
    facts = [parts, report.domain, f"{report.duration_s:.0f} s", _date(report.created_at)]
    return element(
        "header",
        element(
            "div",
            element("p", "Deployment report", class_="kind"),
            element("h1", report.project),
            element("p", *(element("span", fact) for fact in facts if fact), class_="facts"),
        ),
        element(
            "div",
            element(
                "p", element("b", str(report.covered)), f" of {len(Concept)} concepts covered", class_="score"
            ),
            element("p", ", ".join(counts) or "no check ran"),
            class_=f"result {tone}",
        ),
    )


def _date(iso: str) -> str:
    return datetime.fromisoformat(iso).strftime("%Y-%m-%d %H:%M UTC") if iso else ""


def _card(verdict: Verdict) -> Markup:
    words = verdict.verdict.replace("_", " ")
    share = 100 * verdict.passed / verdict.total if verdict.total else 0.0
    tone = OF_VERDICT[verdict.verdict]
    bar = element(
        "svg",
        element("rect", width="100%", height=6, rx=3, class_="track"),
        element("rect", width=f"{share:.1f}%", height=6, rx=3, class_=f"fill {tone}"),
        class_="meter",
        height=6,
        aria_hidden="true",
    )
    return element(
        "a",
        element("span", icon(tone), words, class_="verdict"),
        element("b", verdict.concept.title),
        bar,
        element("span", f"{verdict.passed} of {verdict.total} observed", class_="count"),
        href=f"#{verdict.concept.slug}",
        class_=f"card {tone}",
    )


def _to_do(report: Report) -> Markup | None:
    results = report.with_status(*TO_DO)
    return _section("fix", "What to fix", *map(_problem, results)) if results else None


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


def _changes(report: Report) -> Markup | None:
    changes = report.changes
    if changes is None:
        return None
    rows = [
        joined(
            element("dt", name), element("dd", *_separated(element("a", one, href=f"#{one}") for one in ids))
        )
        for name, ids in changes.told
    ]
    content = element("dl", *rows, class_="story") if rows else element("p", "Nothing has changed.")
    return _section("changes", f"Since {Path(changes.baseline).name}", content)


def _separated(links: Iterable[Markup]) -> list[str | Markup]:
    return [part for link in links for part in (link, " ")]


def _pictures(report: Report) -> Markup | None:
    """Show what tells most; what failed comes first."""
    by_id = {result.id: result for result in report.checks if result.charts}
    bad = [result.id for result in by_id.values() if result.status in TO_DO]
    chosen = list(dict.fromkeys([*bad[:MOST_OF_BAD], *(one for one in TOLD_BY if one in by_id)]))[
        :MOST_PICTURES
    ]
    pictures = [
        element(
            "div",
            element("p", element("a", check_id, href=f"#{check_id}"), f" {by_id[check_id].title}"),
            _first(by_id[check_id].charts),
            class_="picture",
        )
        for check_id in chosen
    ]
    return _section("pictures", "The run in pictures", *pictures) if pictures else None


def _first(charts: list[dict[str, Any]]) -> Markup:
    return figure(charts[0])


def _filter(report: Report) -> Markup:
    """Return what the script needs: without it nothing is hidden, and the buttons are not there."""
    green = sum(result.status is Status.PASSED for result in report.checks)
    return element(
        "p",
        element("button", f"All {len(report.checks)}", type="button", aria_pressed="true", data_show="all"),
        element(
            "button",
            f"Not passed {len(report.checks) - green}",
            type="button",
            aria_pressed="false",
            data_show="bad",
        ),
        element("button", "Open all", type="button", data_open="true"),
        element("button", "Close all", type="button", data_open="false"),
        class_="tools",
        hidden=True,
    )


def _moved(report: Report) -> Markup:
    said = "The project's own files ran, in a copy. This differs from production, and nothing else:"
    return joined(
        element("p", said), element("ul", *(element("li", line) for line in report.relocated), class_="moved")
    )


def _time(report: Report) -> Markup:
    timings = report.timings
    cold_s = timings.get("cold_start_s")
    facts = {
        "wall time": f"{timings['wall_s']:.1f} s",
        "cold start": f"{cold_s:.1f} s" if cold_s else "",
        "CPU time": f"{timings['cpu_s']:.1f} s, {timings['cpu_share']:.0%} of {timings['cores']} cores",
        "slowest experiments": _slowest(timings["experiments"]),
        "slowest checks": _slowest({result.id: result.duration_s for result in report.checks}),
    }
    rows = [element("div", element("dt", name), element("dd", text)) for name, text in facts.items() if text]
    return element("dl", *rows, class_="figures")


def _slowest(spent: dict[str, float]) -> str:
    slowest = sorted(spent.items(), key=lambda item: -item[1])[:SLOWEST]
    return ", ".join(f"{name} {spent_s:.1f} s" for name, spent_s in slowest)


def _footer(report: Report) -> Markup:
    version = f"pytest-deploycheck {report.version}".strip()
    return element(
        "footer",
        element(
            "p", f"Made by {version}. ", element("a", "The course", href=COURSE_URL), " explains each check."
        ),
    )
