"""The folder of one test run, and the copies of the project in it."""

from __future__ import annotations

import itertools
import json
import os
import re
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import trustme

from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import Blocked
from pytest_deploycheck.probes import inside
from pytest_deploycheck.probes.events import Events
from pytest_deploycheck.probes.processes import tree_cpu_seconds
from pytest_deploycheck.sandbox import guardian, signals
from pytest_deploycheck.sandbox.ports import Ports
from pytest_deploycheck.sandbox.project_copy import copy_project, editable_origin
from pytest_deploycheck.sandbox.terminal import Terminal

T = TypeVar("T")
COMMAND_TIMEOUT_S = 60.0
USUAL_UMASK = 0o022  # a machine that starts the project has no stricter one by chance
LONGEST_TEMPORARY_FOLDER = 50


class Run:
    """Everything that one test run owns: a private folder, ports, a test CA, and the guardian that removes it all."""

    def __init__(self, config: Config, *, parent: Path | None = None) -> None:
        """``parent``: where its folder is made; by default where temporary files go."""
        self.config = config
        self.tag = f"DEPLOYCHECK_RUN={secrets.token_hex(16)}"
        self.folder = (parent or _short_temporary_folder()) / f"dc-{secrets.token_hex(4)}"
        # Where programs have their files that refuse to be root, and are somebody else then.
        self.shelf = self.folder.with_name(f"{self.folder.name}-shelf")
        folders = (str(self.folder), str(self.shelf))
        self._guardian = subprocess.Popen(
            [sys.executable, "-I", "-S", guardian.__file__, self.tag, *folders],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        signals.keep_to_oneself()
        self.folder.mkdir(mode=0o700)
        self.ports = Ports(config.ports)
        self.ca = trustme.CA()
        self._numbers = itertools.count(1)  # next() is atomic: experiments copy from several threads
        self._children: list[subprocess.Popen[bytes]] = []
        self._orphaned_cpu_s: list[float] = []
        self._shared: dict[object, Any] = {}
        self._lock = threading.RLock()
        self._closed = False

    def copy(self) -> ProjectCopy:
        """Make a new copy of the project."""
        root = self.folder / str(next(self._numbers))
        with self.kept_open():
            copy_project(self.config.root, root, also=self.config.unversioned_files)
        copy = ProjectCopy(run=self, root=root)
        copy.runtime.mkdir(mode=0o700)
        return copy

    def popen(self, argv: list[str], **options: Any) -> subprocess.Popen[bytes]:
        """Start a process, detached from the terminal; it is reaped at the end of the run."""
        options = {"stdin": subprocess.DEVNULL, "umask": USUAL_UMASK, **options}
        with self.kept_open():
            process = subprocess.Popen(argv, start_new_session=True, **options)
            self._children.append(process)
        return process

    def at_the_end(self, *command: str) -> None:
        """Let the guardian run a command when all processes of the run are gone, whatever has ended it."""
        with self.kept_open():
            order = self.folder / f"{next(self._numbers)}{guardian.ORDER}"
            order.write_text(json.dumps(command), encoding="utf-8")

    def shared(self, key: object, make: Callable[[], T]) -> T:
        """Return what all experiments of the run share, made by whoever wants it first."""
        with self.kept_open():
            if key not in self._shared:
                self._shared[key] = make()
            return cast("T", self._shared[key])

    @property
    def is_closed(self) -> bool:
        """Whether it is over, or about to be."""
        return self._closed

    @contextmanager
    def kept_open(self) -> Iterator[None]:
        """Keep the run from being closed for the length of a ``with`` block: experiments work in threads.

        Raises:
            Blocked: it is closed.
        """
        with self._lock:
            if self._closed:
                raise Blocked("the run is over")
            yield

    def close(self) -> None:
        """End every process of this run and remove its folder. Whoever still works in a thread can start no more.

        It may be called again, also where it was interrupted: it returns when all is gone.
        """
        with self._lock:
            was_closed, self._closed = self._closed, True
        if not was_closed:
            self._account(self.tag)
        self.ports.close()
        assert self._guardian.stdin is not None
        self._guardian.stdin.close()
        try:
            for process in [self._guardian, *self._children]:
                process.wait(timeout=guardian.LONGEST_S)
        except subprocess.TimeoutExpired:
            sys.stderr.write(
                f"deploycheck: what this run has started still ends, and {self.folder} goes with it\n"
            )

    def end(self, tag: str) -> None:
        """SIGKILL all processes with a tag."""
        self._account(tag)
        guardian.end_all(tag)

    def _account(self, tag: str) -> None:
        """Note what processes have used whose parents die with them: the kernel forgets it."""
        children = {process.pid for process in (*self._children, self._guardian)}
        self._orphaned_cpu_s += [tree_cpu_seconds(pid) for pid in guardian.tagged_pids(tag) - children]

    @property
    def orphaned_cpu_s(self) -> float:
        """The CPU time of processes that were ended with their parents, in seconds."""
        return sum(self._orphaned_cpu_s)

    def tagged_pids(self) -> set[int]:
        """Return all live processes of this run, except the guardian."""
        return guardian.tagged_pids(self.tag) - {self._guardian.pid}


def _short_temporary_folder() -> Path:
    """Return where temporary files go; the kernel allows 107 bytes for the path of a unix socket in it.

    Others may write there, but not into the run's own folder in it, which has mode 0700.
    """
    folder = Path(tempfile.gettempdir())
    usual = Path("/tmp")  # noqa: S108  # nosec B108
    return folder if len(str(folder)) < LONGEST_TEMPORARY_FOLDER else usual


@dataclass(frozen=True)
class Finished:
    """A command that ended, or was ended at its deadline (``status`` is None then)."""

    command: str
    status: int | None
    output: str

    def tail(self, lines: int = 5) -> str:
        """Return the last lines of the output."""
        return "\n".join(self.output.rstrip().splitlines()[-lines:])

    @property
    def reason(self) -> str:
        """The line that names an exception, where there is one; else the last line."""
        return last_error(self.output) or self.tail(1)


def last_error(text: str) -> str | None:
    """Return the line that names the last exception of a log or an output."""
    errors = re.findall(r"^[\w.]+(?:Error|Exception|Exit): .*", text, re.MULTILINE)
    return errors[-1] if errors else None


@dataclass(frozen=True)
class ProjectCopy:
    """A copy of the project, and how its commands are run: with an environment that holds nothing of this shell's."""

    run: Run
    root: Path

    @property
    def log_file(self) -> Path:
        """What the start command and the manager print."""
        return self.root.with_suffix(".log")

    @property
    def outside(self) -> Path:
        """Where files are that the project has outside of its folder, at absolute paths."""
        return self.root.with_suffix(".outside")

    @property
    def runtime(self) -> Path:
        """Where its processes may put sockets and the like, instead of into the user's own such folder."""
        return self.root.with_suffix(".runtime")

    def pids(self) -> set[int]:
        """Return all live processes that were started from this copy, wherever they hang in the process tree."""
        return guardian.tagged_pids(self.tag)

    @property
    def tag(self) -> str:
        """What the environment of all processes of this copy holds."""
        return f"DEPLOYCHECK_EVENTS={self.events.file}"

    @property
    def events(self) -> Events:
        """What the probe inside the app's processes has seen."""
        return Events(self.root.with_suffix(".events"))

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment of all commands: the run's tag, the probe, and ``extra``; no PATH, no HOME."""
        name, _, value = self.run.tag.partition("=")
        originals = {self.run.config.root, editable_origin(self.run.config.project) or self.run.config.root}
        moved = ":".join(f"{original}={self.root}" for original in sorted(originals))
        return {
            name: value,
            # Gunicorn has a socket there, or else in the user's home, where that of another one may be.
            "XDG_RUNTIME_DIR": str(self.runtime),
            "PYTHONPATH": str(Path(inside.__file__).parent),
            "DEPLOYCHECK_EVENTS": str(self.events.file),
            "DEPLOYCHECK_MOVED": moved,
            "DEPLOYCHECK_ONCE": ",".join(self.run.config.once),
            **(extra or {}),
        }

    def argv(self, command: str) -> list[str]:
        """Split a command; its first word may be a path in the project or a script of its virtual environment."""
        program, *arguments = shlex.split(command)
        for folder in (self.root, self.root / ".venv/bin"):
            if (folder / program).is_file():
                return [str(folder / program), *arguments]
        return [program, *arguments]

    def spawn(
        self,
        command: str,
        extra: Mapping[str, str] | None = None,
        *,
        folder: Path = Path("/"),
        terminal: Terminal | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a long-running command from ``folder``, in ``terminal`` or in none, its output in ``log_file``."""
        argv = self.argv(command)
        with self.log_file.open("ab") as log:
            return self.run.popen(
                terminal.command(argv) if terminal else argv,
                cwd=folder,
                env=self.environment(extra),
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def call(
        self, command: str, extra: Mapping[str, str] | None = None, *, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> Finished:
        """Run a command in the copy until it ends, or kill it after ``timeout_s`` seconds.

        One that cannot be run at all ends with status 127, as in a shell.
        """
        try:
            process = self.run.popen(
                self.argv(command),
                cwd=self.root,
                env=self.environment(extra),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        except OSError as error:
            return Finished(command, 127, str(error))
        try:
            output, _ = process.communicate(timeout=timeout_s)
            status: int | None = process.returncode
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, _ = process.communicate()
            status = None
        return Finished(command, status, output.decode(errors="replace"))

    def python(self, script: Path, *arguments: str, extra: Mapping[str, str] | None = None) -> Finished:
        """Run one of our scripts with the project's own Python."""
        return self.call(shlex.join([".venv/bin/python", str(script), *arguments]), extra)
