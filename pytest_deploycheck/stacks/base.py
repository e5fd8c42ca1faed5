"""What all stacks share: the parts are found by their command lines, and the proxy's files are relocated."""

from __future__ import annotations

import contextlib
import re
import signal
import textwrap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from pytest_deploycheck import databases, proxies, servers
from pytest_deploycheck.advice import Advice, found_in
from pytest_deploycheck.config import Config
from pytest_deploycheck.databases.protocol import Database
from pytest_deploycheck.need import Need
from pytest_deploycheck.probes.health import Crowd
from pytest_deploycheck.probes.http import Entry, Upstream
from pytest_deploycheck.probes.processes import kill
from pytest_deploycheck.proxies import none
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import COMMAND_TIMEOUT_S, Finished, ProjectCopy
from pytest_deploycheck.sandbox.tools import require
from pytest_deploycheck.servers.other import OtherServer
from pytest_deploycheck.stacks.protocol import StackError

LOG_WIDTH = 200


class BaseStack:
    """The part of the ``Stack`` protocol that does not depend on the process manager.

    A subclass reads its files, and calls ``find_parts`` and ``relocate_proxy``.

    Attributes:
        NAME: the manager's name, for the report.
        PROGRAMS_IN_LOG: how many programs print to the copy's log file: as many times the lines tell of each.
        IN_CONTAINERS: whether no process manager of the machine starts the server, but an image's command.
        start_deadline_s, refusal_deadline_s, stop_delay_s, hears_late, starters, edge_stands_in: see ``Stack``.
    """

    NAME: str
    PROGRAMS_IN_LOG = 3
    IN_CONTAINERS = False
    start_deadline_s = 45.0
    refusal_deadline_s = 15.0
    stop_delay_s = 0.0
    hears_late = False
    starters = 1
    edge_stands_in = False

    def __init__(
        self, copy: ProjectCopy, extra: Mapping[str, str] | None = None, *, acme: Acme | None = None
    ) -> None:
        self.copy = copy
        self._acme = acme
        self.relocated: list[str] = []
        self.typed: list[str] = []
        self.log_keeper: str | None = None
        self.crowd: Crowd | None = None
        self.environment: dict[str, str] = dict(extra or {})
        self.database = self.find_database()
        self.environment = {**self.database.relocate(copy), **self.environment}

    @property
    def config(self) -> Config:
        """The project's settings."""
        return self.copy.run.config

    def find_database(self) -> Database:
        """Return the database that the copy uses; a stack that brings one of its own says so."""
        return databases.find(self.config)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where its files are."""
        return (self.copy.root, self.copy.outside)

    def find_parts(self, commands: Mapping[str, str], *, kind: str) -> tuple[str, str | None]:
        """Return the names of the programs that are the app and the proxy; None for a proxy that the project lacks.

        Args:
            commands: the command line of each program.
            kind: what the manager calls a program, for the message.
        """
        app, self.server = self._find("app", self._servers(), commands, kind)
        require(self.server.NAME, self.copy.root / ".venv", install=f"pip install {self.server.NAME}")
        proxy: str | None = None
        self.proxy: Any = none
        if Need.PROXY not in self.config.lacks:
            known = (*self.config.more_proxies, *proxies.MODULES)
            proxy, self.proxy = self._find("proxy", known, commands, kind)
        self.parts = {
            "manager": self.NAME,
            "proxy": self.proxy.NAME,
            "server": self.server.NAME,
            "database": self.database.NAME,
        }
        return app, proxy

    def _servers(self) -> tuple[Any, ...]:
        """Return the servers that an app may run on, and the one that detection has found."""
        words = self.config.command.words if self.config.command else None
        return (*servers.MODULES, *([OtherServer(words.server)] if words else []))

    def _find(
        self, what: str, modules: tuple[Any, ...], commands: Mapping[str, str], kind: str
    ) -> tuple[str, Any]:
        """Return the name of the program that one of the modules knows by its command line, and the module."""
        for name, command in commands.items():
            for module in modules:
                if re.search(rf"(^|[\s/]){module.NAME}(\s|$)", command):
                    return name, module
        known = " or ".join(module.NAME for module in modules)
        raise StackError(
            f"{self.config.manager_config}: no {kind} runs the {what} ({known}); "
            f"found: {', '.join(commands) or f'no {kind} at all'}"
        )

    def relocate_proxy(self, command: str) -> str:
        """Make the proxy run on free loopback ports; return its command, and know where public and app are."""
        values = {**self.config.env, **self.environment}
        moved = self.proxy.relocate(command, self.copy, values, domain=self.config.domain, acme=self._acme)
        self.relocated += moved.relocated
        self.environment |= moved.environment
        self.environment["DEPLOYCHECK_PORTS"] = ":".join(
            f"{old}={new}" for old, new in moved.app_ports.items()
        )
        self.entry = Entry(
            domain=self.config.domain,
            http_port=moved.http_port,
            https_port=moved.https_port,
            prefix=self.config.path_prefix,
            headers=self.config.requests.headers,
        )
        self.upstream = Upstream(moved.upstream, moved.other_upstreams)
        self.app_ports = moved.app_ports
        self.certificate = moved.certificate
        self.certificates_live_s = moved.certificates_live_s
        return str(moved.command)

    def relocate_alone(self, wanted: int | None) -> None:
        """Give an app without a proxy a free port on a loopback address, whatever it asks for."""
        here = self.copy.run.ports.take()
        self.environment["DEPLOYCHECK_PORTS"] = f"{wanted or '*'}={here}"
        self.environment["DEPLOYCHECK_LOOPBACK"] = LOOPBACK
        self.entry = Entry(
            domain=self.config.domain,
            http_port=here,
            https_port=here,
            has_tls=False,
            prefix="",
            headers=self.config.requests.headers,
        )
        self.upstream = Upstream(f"{LOOPBACK}:{here}")
        self.certificate, self.certificates_live_s = None, 0
        self.relocated.append(f"the app's port {wanted or '(any)'} -> {LOOPBACK}:{here}")

    def prepare(self, extra: Mapping[str, str] | None = None) -> None:
        """Do nothing: a start finds all that it needs in the copy."""

    def bring_release(self) -> None:
        """Do nothing: what is started next runs what the copy holds."""

    def call(
        self, command: str, extra: Mapping[str, str] | None = None, *, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> Finished:
        """Run one of the project's commands where the stack runs, until it ends or for ``timeout_s`` seconds."""
        return self.copy.call(command, {**self.environment, **(extra or {})}, timeout_s=timeout_s)

    def published(self) -> set[tuple[str, int]]:
        """Return none: who wants to reach the app speaks to its own processes."""
        return set()

    def carriers(self) -> frozenset[int]:
        """Return none: the app is on this machine."""
        return frozenset()

    def has_heard_of_stop(self, since: float) -> bool:
        """Tell whether the app has been told to stop since then: by a command that tells it at once."""
        del since
        return True

    def end(self) -> None:
        """SIGKILL all processes at once."""
        self.copy.run.end(self.copy.tag)

    def unenforced_limit(self) -> str | None:
        """Return no memory limit: whatever the manager's files declare is enforced here too."""
        return None

    def forgotten_at_boot(self) -> list[str]:
        """Return nothing: no container engine runs it."""
        return []

    def rotate_logs(self) -> bool:
        """Do nothing: the manager has no logs that it would open anew."""
        return False

    def pass_time(self) -> None:
        """Let the time pass for scripts that do something and then ``sleep`` for hours."""
        sleepers = []
        for pid in self.copy.pids():
            with contextlib.suppress(psutil.Error):
                if psutil.Process(pid).name() == "sleep":
                    sleepers.append(pid)
        kill(sleepers, signal.SIGTERM)

    @property
    def health_check(self) -> str | None:
        """Return the project's own health check."""
        return self.config.health_check

    @property
    def health_check_of_manager(self) -> str | None:
        """Return nothing: this manager asks the app for nothing."""
        return None

    def log_files(self) -> list[Path]:
        """Return the one file that all print to; a manager that keeps others says so."""
        return [self.copy.log_file] if self.copy.log_file.is_file() else []

    def log_tail(self, lines: int = 5, *, of_all_programs: bool = False) -> str:
        """Return its last lines."""
        del of_all_programs
        wanted = self.PROGRAMS_IN_LOG * lines
        return self.without_root("\n".join(tail(file, wanted) for file in self.log_files()))

    def part_advice(self, check_id: str) -> list[Advice]:
        """Return where a failed check is usually mended in the files of server, proxy or database."""
        return found_in(check_id, {}, self.server_advice, self.proxy.ADVICE, self.database.ADVICE)

    @property
    def server_advice(self) -> Mapping[str, Advice]:
        """Where failed checks are mended in the files of the server, which can be others in a container."""
        found: Mapping[str, Advice] = (
            self.server.CONTAINER_ADVICE if self.IN_CONTAINERS else self.server.ADVICE
        )
        return found

    def without_root(self, text: str) -> str:
        """Return a text with paths as they are in the project."""
        return text.replace(f"{self.copy.root}/", "")


def tail(file: Path, lines: int) -> str:
    """Return the last lines of a file, shortened."""
    return shortened(file.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def shortened(lines: Iterable[str]) -> str:
    """Return lines as messages show them."""
    return "\n".join(textwrap.shorten(line, LOG_WIDTH, placeholder=" …") for line in lines)
