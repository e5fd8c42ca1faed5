"""The summary at the end of pytest's output: a bar per concept, and what is not green."""

from __future__ import annotations

import argparse
import textwrap

import pytest

from pytest_deploycheck.outcome import Result, Status
from pytest_deploycheck.report import timings
from pytest_deploycheck.report.delivery import Delivery
from pytest_deploycheck.report.document import in_words
from pytest_deploycheck.report.results import Results
from pytest_deploycheck.report.verdicts import Verdict, is_observed

BAR_WIDTH = 20
WIDTH = 110
WITHOUT_VERDICT = (Status.BLOCKED, Status.NOT_VERIFIED, Status.NOT_APPLICABLE)
COLOURS = {"covered": "green", "failed": "red", "not_covered": "yellow", "not_tried": "yellow"}
WORDS = {
    Status.PASSED: ("passed", ".", "PASSED"),
    Status.FAILED: ("failed", "F", "FAILED"),
    Status.WARNED: ("warned", "W", "WARNED"),
    Status.BLOCKED: ("blocked", "b", "BLOCKED"),
    Status.NOT_VERIFIED: ("not verified", "?", "NOT VERIFIED"),
    Status.WAIVED: ("waived", "w", "WAIVED"),
    Status.NOT_APPLICABLE: ("not applicable", "-", "NOT APPLICABLE"),
}


def word_for(status: str) -> tuple[str, str, str]:
    """Return category, letter and word for pytest's progress output."""
    return WORDS[Status(status)]


def write_summary(
    reporter: pytest.TerminalReporter, results: Results, delivery: Delivery, options: argparse.Namespace
) -> None:
    """Write the deployment section."""
    if not results.all:
        if not options.collectonly:
            reporter.section("deployment", "=", red=True)
            reporter.line("no check ran, so nothing is known of this deployment", red=True)
            _write_delivery(reporter, delivery)
        return
    stack = in_words(results.parts)
    reporter.section(f"deployment of {results.config.project}" + (f" ({stack})" if stack else ""), "=")
    for verdict in results.verdicts():
        _write_bar(reporter, verdict)
    for same in _by_reason(results.all):
        _write_results(reporter, same)
    for line in timings.lines(results.timings, results.all) if results.timings else ():
        reporter.line(f"  {line}")
    _write_delivery(reporter, delivery)


def _by_reason(results: list[Result]) -> list[list[Result]]:
    """Return what is not green: what has no verdict for the same reason together, each other result alone."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        if not is_observed(result):
            reason = result.detail if result.status in WITHOUT_VERDICT else ""
            groups.setdefault((reason, "" if reason else result.id), []).append(result)
    return list(groups.values())


def _write_results(reporter: pytest.TerminalReporter, same: list[Result]) -> None:
    result = same[0]
    words = [result.status.replace("_", " "), f"({result.evidence})" if result.evidence else ""]
    status = " ".join(filter(None, words))
    if len(same) == 1:
        reporter.line(f"  {result.id:<8} {status:<15} {result.title}")
    else:
        for line in textwrap.wrap(f"{status}: {' '.join(one.id for one in same)}", WIDTH - 2):
            reporter.line(f"  {line}")
    if result.detail and result.status is not Status.FAILED:
        reporter.line(f"           {result.detail.splitlines()[0]}")


def _write_delivery(reporter: pytest.TerminalReporter, delivery: Delivery) -> None:
    """Tell what changed, and name what was written."""
    changes = delivery.changes
    if changes:
        reporter.line(f"  since {changes.baseline}: {'' if changes.told else 'no change'}")
        for name, ids in changes.told:
            reporter.line(f"    {name:<20} {', '.join(ids)}", red=name == "newly failing")
    for file in delivery.files:
        reporter.line(f"report: {file}")
    for line in delivery.annotations:
        reporter.write_line(line)
    for problem in delivery.problems:
        reporter.line(f"error: {problem}", red=True)


def _write_bar(reporter: pytest.TerminalReporter, verdict: Verdict) -> None:
    filled = round(BAR_WIDTH * verdict.passed / verdict.total) if verdict.total else 0
    bar = "█" * filled + "░" * (BAR_WIDTH - filled)
    colour = {COLOURS[verdict.verdict]: True}
    reporter.write(f"  {verdict.concept.title:<32} ")
    reporter.write(bar, **colour)
    reporter.write(f" {verdict.passed:>2} of {verdict.total:>2}  ")
    reporter.line(verdict.verdict.replace("_", " "), **colour)
