"""``report.html``: one file that asks for nothing from the network."""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from pytest_deploycheck.check import COURSE_URL, Concept
from pytest_deploycheck.outcome import Status
from pytest_deploycheck.report.document import Report, in_words
from pytest_deploycheck.report.icons import OF_VERDICT, icon
from pytest_deploycheck.report.markup import Markup, element, joined
from pytest_deploycheck.report.page_checks import concept_sections
from pytest_deploycheck.report.page_findings import changes, pictures, section, to_do
from pytest_deploycheck.report.stack_drawing import stack_drawing
from pytest_deploycheck.report.verdicts import Verdict

STYLE = Path(__file__).with_name("page.css")
SCRIPT = Path(__file__).with_name("page.js")
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
    sections = [part for part in _sections(report) if part]
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
    yield section("overview", "Overview", element("div", *map(_card, report.verdicts), class_="cards"))
    yield section("stack", "The stack", stack_drawing(report)) if report.stack else None
    yield to_do(report)
    yield changes(report)
    yield pictures(report)
    yield section("checks", "The checks", _filter(report), concept_sections(report))
    yield section("moved", "What was moved into the sandbox", _moved(report)) if report.relocated else None
    yield section("time", "Where the time went", _time(report)) if report.timings else None


def _header(report: Report) -> Markup:
    failed = report.with_status(Status.FAILED, Status.BLOCKED)
    everything = report.covered == len(Concept)
    tone = "bad" if failed else "good" if everything else "weak"
    parts = in_words(report.stack) or "no stack could be run"
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
