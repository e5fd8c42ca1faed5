"""The hooks of the process that makes the checks: collects them, lets their experiments begin, judges."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path

import pytest

from pytest_deploycheck import arguments, collect, platforms
from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.own_checks import OwnModule
from pytest_deploycheck.report.results import Results, attach
from pytest_deploycheck.report.timings import Clock
from pytest_deploycheck.stacks.declared import Declared
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.stacks.selection import stack_for
from pytest_deploycheck.workshop import Workshop


class Making:
    """The plugin ``deploycheck-making``. Usually pytest's own process makes the checks, see ``apart``."""

    def __init__(
        self,
        config: pytest.Config,
        settings: Config,
        own: list[OwnModule],
        declared: Declared | None,
        results: Results,
    ) -> None:
        self.config = config
        self.settings = settings
        self.own = own
        self.results = results
        self.declared = declared
        self.anchor = arguments.anchor_of(config.rootpath)
        self.workshop = Workshop(
            settings, lambda settings: config.hook.pytest_deploycheck_stack(settings=settings)
        )
        self.clock = Clock()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Put the checks where the project's ``pyproject.toml`` is."""
        if file_path == self.anchor:
            return collect.CheckFile.at(parent, file_path, self.own, self.declared)
        return None

    @pytest.hookimpl(tryfirst=True)
    def pytest_make_collect_report(self, collector: pytest.Collector) -> pytest.CollectReport | None:
        """Collect checks also with ``--lf``, which would leave them out: no file is called as their node ids begin."""
        if not isinstance(collector, (collect.CheckFile, collect.CheckModule)):
            return None
        runner = self.config.pluginmanager.get_plugin("runner")
        report: pytest.CollectReport = runner.pytest_make_collect_report(collector)  # type: ignore[union-attr]
        return report

    @pytest.hookimpl(trylast=True)
    def pytest_deploycheck_stack(self, settings: Config) -> Callable[..., Stack]:
        """Choose one of the plugin's own stacks, where nobody else brings one."""
        return stack_for(settings)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark, select and sort the checks."""
        for item in items:
            if collect.record_of(item):
                item.add_marker("deploycheck")
        wanted = self.config.option.deploycheck_select
        if wanted:
            items[:], dropped = collect.selected(items, wanted)
            self.config.hook.pytest_deselected(items=dropped)
        items[:] = collect.in_running_order(items)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Let the experiments of the selected checks begin before their turn."""
        if self.config.option.collectonly or session.testsfailed:
            return
        checks = [record for item in session.items if (record := collect.record_of(item))]
        answered = self.declared.answers if self.declared else {}
        checks = [record for record in checks if record.id not in answered]
        checks = [record for record in checks if not record.needs & self.settings.lacks.keys()]
        if checks and platforms.is_supported():
            self.workshop.begin(checks)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Make no check for which the project lacks what it needs."""
        record = collect.record_of(item)
        for need in record.needs if record else ():
            if need in self.settings.lacks:
                raise NotVerified(self.settings.lacks[need])

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Turn pytest's outcome of a check into ours."""
        report = yield
        record = collect.record_of(item)
        if record is not None:
            attach(report, record, item, call, self.settings, self.workshop)
        return report

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """End everything that runs, before there is a report."""
        self.workshop.close()
        if self.workshop.has_run:
            self.results.timings = self.clock.read(self.workshop)

    def pytest_unconfigure(self) -> None:
        """End everything that runs, also where the session never began or was interrupted."""
        self.workshop.close()
