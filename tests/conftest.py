"""Generated projects, made once per process and copied for each test."""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from harness import SECOND_TRY, Sabotage, Verdict, VerdictOf, bake, copy_of

from pytest_deploycheck import proxies
from pytest_deploycheck.config import Config
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.run import ProjectCopy


def pytest_configure() -> None:
    """Keep the tests' own runs of pytest apart: from the page of the CI job, and from options for this run."""
    for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY", "PYTEST_ADDOPTS"):
        os.environ.pop(name, None)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the long runs."""
    parser.addoption(
        "--sabotage-all",
        action="store_true",
        help="run all broken projects, not only one for each check",
    )
    parser.addoption(
        "--corpus-all",
        action="store_true",
        help="run all checks on all projects of tests/corpus/; takes some minutes",
    )
    parser.addoption(
        "--sabotage-full",
        action="store_true",
        help="run all checks on all broken projects, not only those that the record can touch; takes hours",
    )
    parser.addoption(
        "--labs-all",
        action="store_true",
        help="break, mend wrongly and mend the project of each lab, not only of a few; takes most of an hour",
    )
    parser.addoption(
        "--matrix",
        action="store_true",
        help="make, lint, test and check a project of each combination of answers that tests/matrix/ chooses",
    )
    parser.addoption(
        "--docs-all",
        action="store_true",
        help="run the command blocks of all pages, and measure the contrast of each text; takes minutes",
    )
    parser.addoption(
        "--containers",
        action="store_true",
        help="all checks and all changes of projects in containers; takes minutes, and needs root and docker.io",
    )
    parser.addoption(
        "--cluster",
        action="store_true",
        help="run the checks in a Kubernetes cluster of their own; takes minutes, and needs root and programs that "
        "CONTRIBUTING.md tells how to build",
    )
    parser.addoption(
        "--testssl", action="store_true", help="let testssl.sh look at each proxy, which takes minutes"
    )


SECOND_TRIES_ALLOWED = 3


@pytest.fixture
def verdict_of(record_property: Callable[[str, object], None]) -> VerdictOf:
    """Return a function that runs checks, and once more if the verdict is not the right one.

    These runs share a machine that may be busy. Each second try is told at the end of the session, and more than a few
    of them fail it.
    """

    def run(checks: Callable[[], Verdict], is_right: Callable[[Verdict], bool]) -> Verdict:
        verdict = checks()
        if is_right(verdict):
            return verdict
        record_property(SECOND_TRY, verdict.explain())
        return checks()

    return run


def second_tries(reporter: pytest.TerminalReporter) -> list[tuple[str, str]]:
    """Return the records that needed a second try, and what the first one said."""
    return [
        (report.nodeid, str(said))
        for report in reporter.getreports("passed")
        for name, said in report.user_properties
        if name == SECOND_TRY
    ]


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """Fail a session in which too many records needed a second try: then it is the checks, not the machine."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and len(second_tries(reporter)) > SECOND_TRIES_ALLOWED:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    yield


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell each second try."""
    tries = second_tries(terminalreporter)
    if tries:
        terminalreporter.section(f"{len(tries)} second tries, {SECOND_TRIES_ALLOWED} are allowed")
        for nodeid, said in tries:
            terminalreporter.line(f"{nodeid}\n{said}\n")


@pytest.fixture(scope="session")
def baked(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function that gives the unbroken project for some answers."""
    made: dict[tuple[tuple[str, str], ...], Path] = {}

    def project(**answers: str) -> Path:
        key = tuple(sorted(answers.items()))
        if key not in made:
            made[key] = bake(tmp_path_factory.mktemp("baked"), **answers)
        return made[key]

    return project


@pytest.fixture
def broken(baked: Callable[..., Path], tmp_path: Path) -> Callable[[Sabotage], Path]:
    """Return a function that makes the project that a record describes."""

    def project(record: Sabotage) -> Path:
        target = copy_of(baked(app_server=record.server, **dict(record.answers)), tmp_path / "notes_api")
        record.apply(target)
        return target

    return project


@pytest.fixture
def copy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make an empty copy of a project for example.com; programs count as installed, certificates are not issued."""
    folder = Path(tempfile.mkdtemp())
    root = folder / "1"
    root.mkdir()
    config = Config(
        root=root, project="x", env={}, settings={}, domain="example.com", manager_config="supervisord.conf"
    )
    ports = itertools.cycle(range(21_000, 29_000))
    run: Any = SimpleNamespace(
        config=config,
        folder=folder,
        tag="DEPLOYCHECK_RUN=none",
        ports=SimpleNamespace(take=lambda: next(ports)),
        ca=None,
    )
    for module in proxies.MODULES:
        monkeypatch.setattr(module, "require", lambda *_, **__: None)
    monkeypatch.setattr(CertificateFiles, "issue", lambda *_: b"")
    yield ProjectCopy(run=run, root=root)
    shutil.rmtree(folder)
