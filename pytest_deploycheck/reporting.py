"""The hooks of the process that reports: gathers the results of all checks, and sets the exit status."""

from __future__ import annotations

import pytest

from pytest_deploycheck.report import terminal
from pytest_deploycheck.report.delivery import Delivery
from pytest_deploycheck.report.results import Results, result_of
from pytest_deploycheck.report.timings import Clock


class Reporting:
    """The plugin ``deploycheck-reporting``; the checks may be made by another process."""

    def __init__(self, config: pytest.Config, results: Results, delivery: Delivery) -> None:
        self.config = config
        self.results = results
        self.delivery = delivery
        self.clock = Clock()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result."""
        content = result_of(report)
        if content is not None:
            self.results.add(content)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Name our outcomes beside pytest's own."""
        content = result_of(report)
        return terminal.word_for(str(content["status"])) if content else None

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the reports, and set the exit status."""
        if self.config.option.collectonly:  # nothing was tried: the report of an earlier run stays
            return
        self.delivery.deliver(self.results.report(self.clock.wall_s, self.delivery.baseline))
        is_bad = self.results.is_bad(strict=bool(self.config.option.deploycheck_strict))
        if session.exitstatus == pytest.ExitCode.OK and (is_bad or self.delivery.problems):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the concepts, and what is not green."""
        terminal.write_summary(terminalreporter, self.results, self.delivery, self.config.option)
