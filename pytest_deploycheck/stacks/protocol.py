"""What every check knows of a running stack."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.config import Config
from pytest_deploycheck.databases.protocol import Database
from pytest_deploycheck.probes.http import Entry, Upstream
from pytest_deploycheck.probes.processes import Processes
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.run import COMMAND_TIMEOUT_S, Finished, ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal

if TYPE_CHECKING:
    from pytest_deploycheck.probes.health import Crowd


class StackError(Exception):
    """The project's own files cannot be run. The message names the file and, where known, the line."""


class Stack(Protocol):
    """A copy of the project under its own process manager.

    Attributes:
        copy: the copy that runs.
        entry: where the public reaches it.
        upstream: where the proxy reaches the app.
        certificate: the files of the certificate that the proxy serves; None if it is not one of the run's CA.
        certificates_live_s: the shortest life of certificates, in seconds, in which the proxy looks after them.
        environment: the variables that the project's own commands get here, beside those of each copy.
        relocated: what was moved to make the production files run here, a line each.
        parts: names of ``manager``, ``proxy``, ``server`` and ``database``, for the report.
        database: the database of the copy.
        start_deadline_s: how long to wait until a start serves, in seconds.
        refusal_deadline_s: how long to wait until a start that should not serve has failed, in seconds.
        start_grace_s: the time that the manager gives the app to come up, in seconds.
        stop_grace_s: the time that the manager gives the app to stop, in seconds.
        stop_delay_s: the time that the manager's command takes before the app hears of its stop, in seconds.
        hears_late: whether the app hears of its stop some time after the command, and ``has_heard_of_stop`` tells when.
        starters: how many of its parts do the previous steps, each before its own server, such as the pods.
        log_keeper: who writes the app's logs to the disk, if that is no process of the deployment.
        crowd: who sends many requests at once from where the app is; None where this machine does.
        edge_stands_in: whether something stands here for who is before the app in production: what it does says nothing
            of that.
        typed: where the start boots a machine: the commands that had to be typed afterwards to start everything.
    """

    copy: ProjectCopy
    entry: Entry
    upstream: Upstream
    certificate: CertificateFiles | None
    certificates_live_s: int
    environment: dict[str, str]
    relocated: list[str]
    parts: dict[str, str]
    database: Database
    start_deadline_s: float
    refusal_deadline_s: float
    start_grace_s: float
    stop_grace_s: float
    stop_delay_s: float
    hears_late: bool
    starters: int
    log_keeper: str | None
    crowd: Crowd | None
    edge_stands_in: bool
    typed: list[str]

    @property
    def config(self) -> Config:
        """The project's settings."""

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where its files are now, those of its logs too."""

    def prepare(self, extra: Mapping[str, str] | None = None) -> None:
        """Make what a start with the same variables needs and no start has to wait for, such as an image.

        Raises:
            StackError: it cannot be made.
        """

    def start(
        self,
        extra: Mapping[str, str] | None = None,
        *,
        folder: Path = Path("/"),
        terminal: Terminal | None = None,
        command: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Run the start command, the project's own by default, from ``folder``, in ``terminal`` or in none.

        Return at once.
        """

    def bring_release(self) -> None:
        """Let the app run what the copy holds now, where that takes more than to start its processes anew."""

    def call(
        self, command: str, extra: Mapping[str, str] | None = None, *, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> Finished:
        """Run one of the project's commands where the stack runs, until it ends or for ``timeout_s`` seconds."""

    def processes(self) -> Processes:
        """Return the processes of the app now; sets are empty where nothing runs, the manager is 0."""

    def proxy_pids(self) -> frozenset[int]:
        """Return the processes of the proxy now."""

    def published(self) -> set[tuple[str, int]]:
        """Return host and port of each address where the manager itself takes TCP connections for the app."""

    def carriers(self) -> frozenset[int]:
        """Return the processes that carry requests to where the app is, and are no part of the deployment."""

    def is_running(self) -> bool:
        """Tell whether the manager says that all of the app and the proxy are up."""

    def app_has_failed(self) -> bool:
        """Tell whether the manager says that the app, or one of its processes, has ended or does not come up."""

    def has_given_up(self) -> bool:
        """Tell whether the manager says that it tries no more to start the app or the proxy."""

    def state(self) -> str:
        """Return what the manager says, for messages."""

    def unenforced_limit(self) -> str | None:
        """Return the memory limit that the manager's files declare for the app, if this machine cannot enforce it."""

    def forgotten_at_boot(self) -> list[str]:
        """Return what runs now and an engine would not start again when the machine starts, with the reason."""

    def end(self) -> None:
        """SIGKILL all processes at once, as a power cut does; nothing starts them again."""

    def has_heard_of_stop(self, since: float) -> bool:
        """Tell whether the app has been told to stop since then (``time.monotonic()``)."""

    def stop_app(self) -> None:
        """Stop the app (not the proxy) through the manager; return when the manager says that it is done."""

    def start_app(self) -> None:
        """Start the app through the manager and return at once."""

    def rotate_logs(self) -> bool:
        """Let the manager open its logs anew, as logrotate does, and write that it has; tell whether it does."""

    def pass_time(self) -> None:
        """Let what waits for hours, to look whether the certificate has to be renewed, wait no longer."""

    @property
    def health_check(self) -> str | None:
        """The command that says by its exit status whether the app is healthy; None if there is none."""

    @property
    def health_check_of_manager(self) -> str | None:
        """The command that asks the app what the manager asks it, where that is another one; None if it is not."""

    def log_files(self) -> list[Path]:
        """Return the files that the manager and all that it runs write their logs to."""

    def log_tail(self, lines: int = 5, *, of_all_programs: bool = False) -> str:
        """Return the last lines of the logs of manager, app and proxy, or of all that the manager runs."""

    def advice(self, check_id: str) -> list[Advice]:
        """Return where in the project's own files a failed check is usually mended."""
