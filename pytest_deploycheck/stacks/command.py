"""The project's own server command, with no manager and no proxy: for projects of which no more can be run here."""

from __future__ import annotations

import re
import shlex
import signal
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from dotenv import dotenv_values

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.detection.finding import ServerCommand
from pytest_deploycheck.probes import inside
from pytest_deploycheck.probes.processes import Processes, alive, kill, with_descendants
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.proxies import none
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH, require
from pytest_deploycheck.servers.other import OtherServer
from pytest_deploycheck.stacks.base import BaseStack
from pytest_deploycheck.stacks.protocol import StackError

# What Docker, Compose and Podman wait after SIGTERM; platforms wait longer.
STOP_GRACE_S = 10.0
START_GRACE_S = 1.0


class CommandStack(BaseStack):
    """A copy of the project whose server's command runs alone; see the ``Stack`` protocol.

    The process that the command starts stands for the manager's child; that there is no manager is pid 0.
    """

    NAME = "none"
    PROGRAMS_IN_LOG = 1

    def __init__(
        self, copy: ProjectCopy, extra: Mapping[str, str] | None = None, *, acme: Acme | None = None
    ) -> None:
        super().__init__(copy, extra, acme=acme)
        assert self.config.command is not None
        self._command: ServerCommand = self.config.command
        self._process: subprocess.Popen[bytes] | None = None
        if self._command.folder != ".":  # there a relative path means another file
            self.environment = {**self.database.environment(copy), **self.environment}
        self.start_grace_s, self.stop_grace_s = START_GRACE_S, STOP_GRACE_S
        words = self._command.words
        self.server = OtherServer(words.server if words else "server")
        self.proxy = none
        self.parts = {
            "manager": self.NAME,
            "proxy": self.proxy.NAME,
            "server": self.server.NAME,
            "database": self.database.NAME,
        }
        if words:
            require(words.server, copy.root / ".venv", install=f"pip install {_package(words.server)}")
            self._refuse(words.server, words.socket)
        self._relocate(words.port if words else None)

    def _refuse(self, server: str, socket: str | None) -> None:
        where = self._command.found.where
        if server == "granian":
            raise StackError(f"{where}: Granian opens its socket where no check can move it: not supported")
        if socket:
            raise StackError(
                f"{where}: the server listens on {socket}, and no proxy of the project is known that connects to it: "
                "name the process manager that runs both as [tool.deploycheck] manager_config"
            )

    def _relocate(self, port: int | None) -> None:
        """Move what only production has: folders of an image, and the port."""
        self._folder = self.copy.root / self._command.folder
        where = "the project" if self._command.folder == "." else self._command.folder
        settings = f"the values of {self.config.env_file} and PATH, no other variables"
        self.relocated += [
            f"project -> a copy in {self.copy.run.folder.parent}",
            f"{self._command.found.where}: run in {where}, with {settings}",
            *(f"{image} of the image -> {project}" for image, project in self._command.moves.items()),
        ]
        self.relocate_alone(port or self._command.port)
        if self._command.runner:
            self.relocated.append(f"{self._command.runner} -> nobody: the command runs alone")

    def start(
        self,
        extra: Mapping[str, str] | None = None,
        *,
        folder: Path = Path("/"),
        terminal: Terminal | None = None,
        command: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Run the command, or another one, in its own folder: no manager runs it anywhere else. Return at once."""
        environment = {**self._settings(), **self.environment, **(extra or {})}
        try:
            self._process = self.copy.spawn(
                command or line_of(self._command, self.copy.root),
                environment,
                folder=self._folder,
                terminal=terminal,
            )
        except OSError as error:
            raise StackError(
                f"{self._command.found.where}: {self._command.line!r} cannot be run: {error.strerror}"
            ) from None
        return self._process

    def _settings(self) -> dict[str, str]:
        """Return what the runner gives the command: the image's and service's variables, then the file's values."""
        values = variables_of(self._command, self.copy.root, self.config.env_file)
        scripts = f"{self.copy.root}/.venv/bin"
        probe = str(Path(inside.__file__).parent)
        paths = [probe, *filter(None, [values.get("PYTHONPATH", "")])]
        return {**values, "PATH": f"{scripts}:{SYSTEM_PATH}", "PYTHONPATH": ":".join(paths)}

    def processes(self) -> Processes:
        """Return the processes of the app now."""
        servers = (
            alive({self._process.pid}) if self._process and self._process.poll() is None else frozenset()
        )
        tree = with_descendants(servers)
        served = self.copy.events.pids("worker")
        return Processes(manager=0, servers=servers, workers=tree & served, tree=tree)

    def proxy_pids(self) -> frozenset[int]:
        """There is no proxy."""
        return frozenset()

    def is_running(self) -> bool:
        """Tell whether the command's process lives."""
        return self._process is not None and self._process.poll() is None

    def app_has_failed(self) -> bool:
        """Tell whether the command's process has ended."""
        return self._process is not None and self._process.poll() is not None

    def has_given_up(self) -> bool:
        """Tell the same: nobody starts it again."""
        return self.app_has_failed()

    def state(self) -> str:
        """Return whether the command runs."""
        if self._process is None:
            return "the command was not started"
        status = self._process.poll()
        if status is None:
            return f"the command runs (pid {self._process.pid})"
        said = f"by {signal.Signals(-status).name}" if status < 0 else f"with status {status}"
        return f"the command ended {said}, and nobody starts it again"

    def stop_app(self) -> None:
        """Send SIGTERM as the runner does, to all or to the first process, and SIGKILL after the grace time."""
        if self._process is None:
            return
        first = {self._process.pid}
        everything = with_descendants(first)
        told = everything if self._command.stops_all else first
        kill(told, signal.SIGTERM)
        if not self._end_in_time(told):
            kill(everything)
            self._end_in_time(told)

    def _end_in_time(self, pids: Iterable[int]) -> bool:
        """Tell whether the processes end within the grace time."""

        def living() -> frozenset[int]:
            if self._process:
                self._process.poll()  # it is reaped when it has ended
            return alive(pids)

        return not wait_for(living, lambda left: not left, deadline_s=self.stop_grace_s)

    def start_app(self) -> None:
        """Run the command again."""
        self.start()

    def advice(self, check_id: str) -> list[Advice]:
        """Return where a failed check is usually mended: at the command, if anywhere that is known."""
        found = self._command.found
        return [Advice(found.file, found.line, ADVICE[check_id])] if check_id in ADVICE else []


def line_of(command: ServerCommand, root: Path) -> str:
    """Return a command as it is run in a copy, with a shell where it needs one."""
    line = in_copy(command.line, command, root)
    if command.before:
        return shlex.join(["/bin/sh", "-c", f"{command.before} && exec {line}"])
    return shlex.join(["/bin/sh", "-c", line]) if command.is_shell else line


def variables_of(command: ServerCommand, root: Path, env_file: str = "") -> dict[str, str]:
    """Return the variables that come with a command, as in a copy, and above them those of a file in it."""
    moved = {name: in_copy(value, command, root) for name, value in command.environment.items()}
    file = root / env_file
    read = dotenv_values(file, encoding="utf-8") if file.is_file() else {}
    return {**moved, **{name: value or "" for name, value in read.items()}}


def in_copy(text: str, command: ServerCommand, root: Path) -> str:
    """Replace folders of the image by those of the copy."""
    for image, project in sorted(command.moves.items(), key=lambda pair: -len(pair[0])):
        if image != "/":
            text = re.sub(rf"(?<![\w./-]){re.escape(image)}(?=[/\s\"':]|$)", str(root / project), text)
    return text


def _package(server: str) -> str:
    return {"fastapi": "'fastapi[standard]'"}.get(server, server)


_MANAGER = (
    "run this command under a process manager: a systemd unit with Restart=always, Supervisor, a container with a "
    "restart policy"
)
ADVICE = {
    "BOOT002": (
        "settings that the app needs: here it has those of .env, or of the file that [tool.deploycheck] env_file "
        "names, and none of your shell's"
    ),
    "BOOT005": _MANAGER,
    "BOOT008": "no --reload and no debug mode in the command of production",
    "MEM006": "two workers or more: their parent says when one was killed",
    "PRE001": "run the migrations before the server: `alembic upgrade head && exec …`",
    "REP001": "--workers",
    "REP002": '--workers "$WEB_CONCURRENCY"',
    "RST001": f"two workers or more, whose parent replaces them, and {_MANAGER}",
    "RST002": _MANAGER,
    "RST003": _MANAGER,
    "RST004": "gunicorn's timeout, or several workers of Uvicorn, or a manager with a watchdog",
    "RST007": "`exec` before the server where a shell starts it, so that signals reach it",
    "RST008": "`exec` before the server where a shell starts it, so that signals reach it",
}
