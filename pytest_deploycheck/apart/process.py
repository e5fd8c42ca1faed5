"""The process with the checks: what it does not share with the one that it comes from, and what it tells it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

import pytest

from pytest_deploycheck.apart.messages import Begun, Call, Called, Collected, Message, Over
from pytest_deploycheck.lanes import LaneThread
from pytest_deploycheck.making import Making

# Plugins that report, or share out tests: the other process has them too.
OF_THE_OTHER = (
    "terminalreporter",
    "terminaldistreporter",
    "dsession",
    "deploycheck-reporting",
    "deploycheck-apart",
)
STDOUT = 1
ENDS_OF_PYTEST = (pytest.UsageError, pytest.Session.Failed, pytest.Session.Interrupted, pytest.exit.Exception)


class Telling:
    """A plugin that tells the other process which hooks are called; it never waits for it."""

    def __init__(self, config: pytest.Config, connection: Connection) -> None:
        self.config = config
        self._connection = connection
        self._thread = LaneThread("telling")
        self._calls: list[Call] = []

    def tell(self, message: Message) -> None:
        """Put a message into the queue, as ``Connection.send`` would send it."""
        data = ForkingPickler.dumps(message)
        self._thread.submit("tell", partial(self._connection.send_bytes, data))

    def tell_calls(self) -> None:
        """Tell which hooks were called since it was told last."""
        self.tell(Called(self._calls))
        self._calls = []

    def wait(self) -> None:
        """Wait until all is said."""
        self._thread.submit("wait", lambda: None).result()

    def pytest_runtest_logstart(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Note that a check begins."""
        self._note("pytest_runtest_logstart", nodeid=nodeid, location=location)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what became of a part of it."""
        self._note("pytest_runtest_logreport", report=self._data_of(report))

    def pytest_runtest_logfinish(self, nodeid: str, location: tuple[str, int | None, str]) -> None:
        """Tell of the whole check."""
        self._note("pytest_runtest_logfinish", nodeid=nodeid, location=location)
        self.tell_calls()

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what could not be collected."""
        if not report.passed:
            self._note("pytest_collectreport", report=self._data_of(report))

    def pytest_warning_recorded(
        self,
        warning_message: warnings.WarningMessage,
        when: str,
        nodeid: str,
        location: tuple[str, int, str] | None,
    ) -> None:
        """Note a warning; its text, for not every warning can be sent."""
        told = warning_message
        sent = warnings.WarningMessage(str(told.message), told.category, told.filename, told.lineno)
        self._note(
            "pytest_warning_recorded", warning_message=sent, when=when, nodeid=nodeid, location=location
        )

    def _note(self, hook: str, **arguments: Any) -> None:
        self._calls.append(Call(hook, arguments))

    def _data_of(self, report: pytest.TestReport | pytest.CollectReport) -> object:
        return self.config.hook.pytest_report_to_serializable(config=self.config, report=report)


def make_checks(
    session: pytest.Session, arguments: list[str], new_making: Callable[[], Making], connection: Connection
) -> None:
    """Collect the checks, make them, tell it, and end what runs; to be called right after the fork.

    Signals that end a run are held back until here.

    Args:
        session: pytest's, in which nothing was collected yet.
        arguments: which checks to collect.
        new_making: makes the plugin, with its threads, which no fork would have.
        connection: to the other process; its end is the end of this one.
    """
    plugins = session.config.pluginmanager
    telling = Telling(session.config, connection)
    making: Making | None = None
    error: BaseException | None = None
    try:
        # First of all: threads of `Making` start production's processes, which would go on to hold them back.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        making = new_making()
        threading.Thread(target=_end_with_the_other, args=(connection, making), daemon=True).start()
        _part(session.config)
        plugins.register(telling)
        plugins.register(making, "deploycheck-making")
        telling.tell(Begun())
        session.perform_collect(arguments)
        telling.tell(Collected(len(session.items)))
        making.pytest_runtestloop(session)
        plugins.get_plugin("main").pytest_runtestloop(session)  # type: ignore[union-attr]
    except (KeyboardInterrupt, *ENDS_OF_PYTEST) as ending:
        error = ending
    except Exception:  # noqa: BLE001  (raised in the other process)
        error = RuntimeError(traceback.format_exc())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing is to be kept from its end any more
    if making:
        making.pytest_sessionfinish()
    telling.tell_calls()
    telling.tell(Over(making.results.timings if making else {}, error))
    with contextlib.suppress(OSError):
        telling.wait()


def _part(config: pytest.Config) -> None:
    """Report nothing here, and capture into a file of one's own: two processes cannot use one."""
    capture = config.pluginmanager.get_plugin("capturemanager")
    if capture:
        capture.stop_global_capturing()
    for name in OF_THE_OTHER:
        plugin = config.pluginmanager.get_plugin(name)
        if plugin:
            config.pluginmanager.unregister(plugin)
    os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)
    if capture:
        capture.start_global_capturing()
        capture.suspend_global_capture()


def _end_with_the_other(connection: Connection, making: Making) -> None:
    with contextlib.suppress(OSError, EOFError):
        connection.recv()  # it never says anything
    making.workshop.close()
    os._exit(1)
