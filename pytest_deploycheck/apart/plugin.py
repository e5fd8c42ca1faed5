"""The process that reports: forks the one with the checks, hands on what that one says, and ends it."""

from __future__ import annotations

import multiprocessing
import warnings
from collections.abc import Callable, Generator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import pytest

from pytest_deploycheck.apart.messages import Begun, Call, Called, Collected, Message, Over
from pytest_deploycheck.apart.process import make_checks
from pytest_deploycheck.making import Making
from pytest_deploycheck.plugin import CHECKS_ARE_APART
from pytest_deploycheck.report.results import Results
from pytest_deploycheck.sandbox.guardian import LONGEST_S
from pytest_deploycheck.sandbox.signals import held_back


class Apart:
    """The plugin ``deploycheck-apart``, in the place of ``deploycheck-making``.

    Args:
        arguments: which checks to collect.
        new_making: makes the plugin that makes the checks.
        results: gets the timings; the rest of them comes with the reports.
    """

    def __init__(
        self, config: pytest.Config, arguments: list[str], new_making: Callable[[], Making], results: Results
    ) -> None:
        self.config = config
        self.arguments = arguments
        self.new_making = new_making
        self.results = results
        self.is_over = False
        self.process: BaseProcess | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_header(self) -> str:
        """Say who does what."""
        return "deploycheck: the checks have a process of their own, beside the tests"

    @pytest.hookimpl(trylast=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Fork: pytest is ready to collect, and pytest-xdist, which comes last, has started no thread yet."""
        self.session = session
        self.connection, others = multiprocessing.Pipe()
        process = multiprocessing.get_context("fork").Process(target=self._make_checks, args=(others,))
        with held_back(), warnings.catch_warnings():
            # Threads of a library that a conftest imports, of which Python warns, are no matter to the checks.
            warnings.simplefilter("ignore", DeprecationWarning)
            process.start()
        self.process = process
        others.close()
        self._take(self._received())  # Begun: until then both share the file of captured output

    def _make_checks(self, connection: Connection) -> None:
        self.connection.close()  # that of the other process, whose end would not be noticed
        make_checks(self.session, self.arguments, self.new_making, connection)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of pytest-xdist that the checks are made elsewhere."""
        node.workerinput[CHECKS_ARE_APART] = True

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        """Hand on what was said during an own test, when its line is complete."""
        self._hand_on(to_the_end=False)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Hand on the rest, when all own tests have run."""
        done = yield
        self._hand_on(to_the_end=True)
        return done

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """End the process before there is a report."""
        self._end()

    def pytest_unconfigure(self) -> None:
        """End it also where the session never began."""
        self._end()

    def _hand_on(self, *, to_the_end: bool) -> None:
        while not self.is_over and (to_the_end or self.connection.poll()):
            self._take(self._received())
            if self.session.shouldfail:
                raise self.session.Failed(self.session.shouldfail)
            if self.session.shouldstop:
                raise self.session.Interrupted(self.session.shouldstop)

    def _received(self) -> Message:
        assert self.process
        try:
            return self.connection.recv()  # type: ignore[no-any-return]
        except EOFError:
            self.is_over = True
            self.process.join(LONGEST_S)
            pytest.exit(
                f"deploycheck: the process with the checks is gone, with exit status {self.process.exitcode}",
                returncode=pytest.ExitCode.INTERNAL_ERROR,
            )

    def _take(self, message: Message) -> None:
        match message:
            case Begun():
                pass
            case Collected(count):
                self.session.testscollected += count
            case Called(calls):
                for call in calls:
                    self._repeat(call)
            case Over(timings, error):
                self.is_over = True
                self.results.timings = timings
                if error:
                    raise error

    def _repeat(self, call: Call) -> None:
        """Call a hook that was called there, with a report of which plain data was made."""
        arguments = call.arguments
        if "report" in arguments:
            report = self.config.hook.pytest_report_from_serializable(
                config=self.config, data=arguments["report"]
            )
            arguments = {"report": report}
        hook = self.config.pluginmanager.subset_hook_caller(call.hook, remove_plugins=[self])
        if hook.is_historic():
            hook.call_historic(kwargs=arguments)
        else:
            hook(**arguments)

    def _end(self) -> None:
        """End the process and wait for it; again, where Ctrl-C comes meanwhile."""
        if not self.process:
            return
        self.connection.close()
        self.process.join(LONGEST_S)
        if self.process.is_alive():
            self.process.kill()  # the guardian of what it has started cleans up
            self.process.join()
        self.process = None
