"""The session with ``--deploycheck``: collects the checks, runs them, keeps their results, reports."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pytest_deploycheck import collect, databases, distribution, fixtures, own_checks, platforms
from pytest_deploycheck.check import all_checks
from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.own_checks import OwnModule
from pytest_deploycheck.proxies.protocol import Proxy
from pytest_deploycheck.reader import load
from pytest_deploycheck.report import terminal
from pytest_deploycheck.report.delivery import Delivery
from pytest_deploycheck.report.results import Results, attach, result_of
from pytest_deploycheck.report.timings import Clock
from pytest_deploycheck.stacks import kubernetes
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.stacks.selection import declared_for, stack_for
from pytest_deploycheck.workshop import Workshop

TIMINGS = "deploycheck_timings"


def start_session(config: pytest.Config) -> None:
    """Register what ``--deploycheck`` needs.

    Raises:
        pytest.UsageError: nothing deployable is here, or a setting is wrong.
    """
    _refuse_moved_rootdir(config)
    try:
        settings = load(config.rootpath)
        databases.find(settings).verify()
        own = own_checks.load(config.rootpath)
        _refuse_other_systems(settings)
        option = config.option
        settings = kubernetes.with_cluster(
            settings, option.deploycheck_cluster, option.deploycheck_cluster_image
        )
    except ConfigError as error:
        _refuse_other_systems(None)
        raise pytest.UsageError(f"deploycheck: {error}") from None
    settings = replace(settings, more_proxies=_proxies_of_others(config, settings))
    if config.hook.pytest_deploycheck_stack(settings=settings):
        settings = replace(settings, lacks={})  # who brings a stack knows what it can show
    _refuse_bad_waivers(settings, own)
    delivery = Delivery.prepared(config.option, settings.root)
    distribution.choose(config)
    config.addinivalue_line("markers", "deploycheck: a check of the project's deployment")
    session = DeploycheckSession(config, settings, delivery, own)
    config.pluginmanager.register(session, "deploycheck-session")
    config.pluginmanager.register(fixtures, "deploycheck-fixtures")
    collect.add_checks(config)


def _refuse_other_systems(settings: Config | None) -> None:
    """Refuse a project that has to run, where nothing can be watched."""
    if not platforms.is_supported() and (settings is None or declared_for(settings) is None):
        raise pytest.UsageError(platforms.refusal("--deploycheck"))


def _refuse_moved_rootdir(config: pytest.Config) -> None:
    """Refuse a run of another project than the one in this folder.

    pytest looks for its rootdir before it knows our options, and takes the DIR of ``--deploycheck-report DIR`` for a
    path to tests.
    """
    here, words = config.invocation_params.dir, [str(word) for word in config.invocation_params.args]
    if config.rootpath == here or config.option.rootdir or not (here / collect.ANCHOR).is_file():
        return
    for option, value in itertools.pairwise(words):
        if option in ("--deploycheck-report", "--deploycheck-baseline") and (here / value).exists():
            raise pytest.UsageError(
                f"deploycheck: not this folder but {config.rootpath} would be checked, for pytest takes {value} for a "
                f"path to tests: write {option}={value} with =, or add --rootdir=."
            )


def _proxies_of_others(config: pytest.Config, settings: Config) -> tuple[Proxy, ...]:
    found = itertools.chain(*config.hook.pytest_deploycheck_proxies(settings=settings))
    proxies = tuple(found)
    for proxy in proxies:
        for name in ("NAME", "ADVICE", "relocate"):
            if not hasattr(proxy, name):
                raise pytest.UsageError(f"pytest_deploycheck_proxies returned {proxy!r}, which has no {name}")
    return proxies


def _refuse_bad_waivers(settings: Config, own: list[OwnModule]) -> None:
    known = {record.id for record in (*all_checks(), *(record for module in own for record in module.checks))}
    for check_id, reason in settings.waivers.items():
        if check_id not in known:
            raise pytest.UsageError(f"[tool.deploycheck.waivers] {check_id} is no check of this version")
        if not reason.strip():
            raise pytest.UsageError(f"[tool.deploycheck.waivers] {check_id} needs a reason")


class DeploycheckSession:
    """One test session's hooks."""

    def __init__(
        self, config: pytest.Config, settings: Config, delivery: Delivery, own: list[OwnModule]
    ) -> None:
        self.config = config
        self.settings = settings
        self.own = own
        self.declared = declared_for(settings)
        self.anchor = collect.anchor_of(config.rootpath)
        self.workshop = Workshop(
            settings, lambda settings: config.hook.pytest_deploycheck_stack(settings=settings)
        )
        self.results = Results(settings)
        if self.declared:
            self.results.parts = dict(self.declared.parts)
            self.results.relocated = self.declared.read
        self.delivery = delivery
        self.clock = Clock()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """Put the checks where the project's ``pyproject.toml`` is."""
        if file_path == self.anchor:
            return collect.CheckFile.at(parent, file_path, self.own, self.declared)
        return None

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
        items[:] = collect.in_running_order(items, checks_first=distribution.is_ours(self.config))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        """Let the experiments of the selected checks begin before their turn."""
        is_over = self.config.option.collectonly or session.testsfailed
        if not is_over and not distribution.is_distributed(self.config):
            self._begin(session)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> None:
        """Let them begin with the first check, in the worker of pytest-xdist that all checks are given to."""
        if distribution.is_ours(self.config) and collect.record_of(item):
            self._begin(item.session)

    def _begin(self, session: pytest.Session) -> None:
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

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_make_scheduler(self, config: pytest.Config, log: object) -> object:
        """Hand all checks to one worker."""
        return distribution.scheduler(config, log) if distribution.is_ours(config) else None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker, which knows no ``--dist``."""
        node.workerinput[distribution.CHECKS_TOGETHER] = distribution.is_ours(self.config)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: object) -> None:
        """Take the timings of the worker that ran the checks."""
        self.results.timings.update(getattr(node, "workeroutput", {}).get(TIMINGS, {}))

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

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result; with pytest-xdist it comes from a worker process."""
        content = result_of(report)
        if content is not None:
            self.results.add(content)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Name our outcomes beside pytest's own."""
        content = result_of(report)
        return terminal.word_for(str(content["status"])) if content else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """End everything that runs, and set the exit status."""
        self.workshop.close()
        if self.workshop.has_run:
            self.results.timings = self.clock.read(self.workshop)
        if distribution.is_worker(self.config):
            self.config.workeroutput[TIMINGS] = self.results.timings  # type: ignore[attr-defined]
            return
        if self.config.option.collectonly:  # nothing was tried: the report of an earlier run stays
            return
        self.delivery.deliver(self.results.report(self.clock.wall_s, self.delivery.baseline))
        is_bad = self.results.is_bad(strict=bool(self.config.option.deploycheck_strict))
        if session.exitstatus == pytest.ExitCode.OK and (is_bad or self.delivery.problems):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_unconfigure(self) -> None:
        """End everything that runs, also where the session never began or was interrupted."""
        self.workshop.close()

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Show the concepts, and what is not green."""
        terminal.write_summary(terminalreporter, self.results, self.delivery, self.config.option)
