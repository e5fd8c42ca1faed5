"""What the image of a project runs, in a container on this machine, under the terms of production."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import shlex
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pytest_deploycheck.advice import Advice, found_in
from pytest_deploycheck.detection.dockerfile import command_of
from pytest_deploycheck.detection.files import ProjectFiles
from pytest_deploycheck.detection.finding import ServerCommand
from pytest_deploycheck.detection.scripts import with_server
from pytest_deploycheck.probes.processes import Processes, alive, kill, with_descendants
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH
from pytest_deploycheck.stacks.base import BaseStack
from pytest_deploycheck.stacks.command import in_copy, line_of, variables_of
from pytest_deploycheck.stacks.contained import container, stand_in
from pytest_deploycheck.stacks.contained.edge import edge_command
from pytest_deploycheck.stacks.contained.terms import Asking, Terms
from pytest_deploycheck.stacks.protocol import StackError

IMAGE = "Dockerfile"
START_GRACE_S = 1.0
STOPPED_LATE_S = 10.0


class ContainedStack(BaseStack):
    """A copy of the project, whose command runs as in a container; see the ``Stack`` protocol.

    A process stands for whoever runs the container, and Caddy for whoever ends TLS before it. A subclass reads its
    files, and says what they promise: the terms. What the stand-ins decide is no observation.

    Attributes:
        ADVICE: where in the project's files a failed check is usually mended: file, line, text.
    """

    IN_CONTAINERS = True
    edge_stands_in = True
    ADVICE: Mapping[str, tuple[str, int | None, str]]

    def __init__(
        self,
        copy: ProjectCopy,
        extra: Mapping[str, str] | None = None,
        *,
        acme: Acme | None = None,
        terms: Terms,
        caddyfile: str,
    ) -> None:
        super().__init__(copy, extra, acme=acme)
        self.terms = terms
        self._state = copy.root.with_suffix(".container.json")
        self._process: subprocess.Popen[bytes] | None = None
        self.log_keeper = f"the {terms.keeper}"
        self.start_grace_s, self.stop_grace_s = START_GRACE_S, float(terms.stop_grace_s)
        edge = edge_command(copy, caddyfile)
        self.find_parts(
            {"app": terms.command.server_line or terms.command.line, "edge": edge}, kind="command"
        )
        self._edge = self.relocate_proxy(edge)
        (self._port,) = self.app_ports.values()
        self._missing = container.needs()
        self._group = self._memory_group()
        self._networks()
        self.environment |= {
            "DEPLOYCHECK_PORTS": f"{terms.port}={self._port}",
            "DEPLOYCHECK_LOOPBACK": LOOPBACK,
            "TMPDIR": str(self._temporary),
        }

    def _memory_group(self) -> Path | None:
        """Make the control group that keeps the limit of memory, where there is one, and this machine can."""
        return container.memory_group(self.copy, self.terms.memory_mb) if self.terms.memory_mb else None

    @property
    def _temporary(self) -> Path:
        return self.copy.root.with_suffix(".tmp")

    def _networks(self) -> None:
        """Let the app believe the sandbox's edge, where it believes private networks."""
        self._moved = {}
        for name, value in {**self.variables(), **self.environment}.items():
            if (moved := networks_here(value)) != value:
                self._moved[name] = moved
        self.environment |= self._moved

    def contained_relocations(self) -> list[str]:
        """Return what is not as in a container of production, a line each."""
        limit = self.terms.memory_mb
        enforced = f"not enforced here: it needs {self._missing}" if self._missing else "as there"
        limited = (
            "a control group"
            if self._group
            else "not enforced by the kernel here: it needs root, and a memory controller"
        )
        found = self.terms.command.found
        disk = "read-only but for TMPDIR" if self.terms.read_only else "writable"
        return [
            f"image -> not built: its command {found.value} ({found.where}) in {self.copy.run.folder.parent}",
            f"the disk, {disk}; the first process of its namespace -> {enforced}",
            *([f"memory limit of {limit} MiB -> {limited}"] if limit else []),
            "the image's user -> the user who runs the checks",
            *(f"the private networks in {name} -> {LOOPBACK}, where the edge is" for name in self._moved),
        ]

    def start(
        self,
        extra: Mapping[str, str] | None = None,
        *,
        folder: Path = Path("/"),
        terminal: Terminal | None = None,
        command: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Let the keeper release what is in the copy, and return at once; nobody starts one in a terminal."""
        del terminal, command
        environment = {**self._settings(), **self.environment, **(extra or {})}
        order = self.copy.root.with_suffix(".order.json")
        order.write_text(json.dumps(self._order()), encoding="utf-8")
        self._state.unlink(missing_ok=True)
        self._process = self.copy.spawn(shlex.join(stand_in.command(order)), environment, folder=folder)
        return self._process

    def _order(self) -> dict[str, Any]:
        """Return what the keeper is to do."""
        terms, root = self.terms, self.copy.root
        return terms.order(
            edge=self.copy.argv(self._edge),
            container=self._contained(line_of(terms.command, root)),
            steps=[self._contained(in_copy(step, terms.command, root)) for step in terms.steps],
            before_stop=self._contained(terms.before_stop),
            probes={kind: self._probe(asking) for kind, asking in terms.probes.items()},
            folder=str(root),
            temporary=str(self._temporary),
            memory_group=str(self._group or ""),
            runtime={},
            state=str(self._state),
        )

    def _probe(self, asking: Asking) -> dict[str, Any]:
        return {
            **asdict(asking),
            "command": self._contained(asking.command),
            "port": self._port,
            "host": self.config.domain,
            "folder": str(self.copy.root),
        }

    def _contained(self, line: str) -> list[str]:
        """Return the words of a line as they are run in the container; none for no line."""
        if not line:
            return []
        words = self.copy.argv(line)
        if self._missing:
            return words
        return container.wrapped(self.copy, words, read_only=self.terms.read_only)

    def _settings(self) -> dict[str, str]:
        """Return the variables of the container, and where its machine's /proc is to be seen inside."""
        inside = {} if self._missing else {"DEPLOYCHECK_PROC": str(container.proc_of(self.copy))}
        # Gunicorn and Uvicorn believe 127.0.0.1 by default, which is where the edge is here, and nowhere else.
        return {"PATH": SYSTEM_PATH, "FORWARDED_ALLOW_IPS": "", **self.variables(), **inside}

    def variables(self) -> dict[str, str]:
        """Return the variables of the image, and those that the keeper gives: here what is in the environment file."""
        return variables_of(self.terms.command, self.copy.root, self.config.env_file)

    def _said(self) -> dict[str, Any]:
        """Return what the keeper has written down last; empty where it does not run."""
        if self._process is None or self._process.poll() is not None:
            return {}
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads(self._state.read_text(encoding="utf-8")))
        return {}

    def processes(self) -> Processes:
        """Return the processes of the app now."""
        said = self._said()
        is_releasing = said.get("state") == "RELEASING"  # that container is no server
        pid, pid_file = said.get("container"), said.get("pid_file", "")
        first = stand_in.first_of(pid, pid_file) if pid and not is_releasing else None
        servers = alive({first}) if first else frozenset()
        tree = with_descendants(servers)
        manager = self._process.pid if self._process and self._process.poll() is None else 0
        workers = tree & self.copy.events.pids("worker")
        return Processes(manager=manager, servers=servers, workers=workers, tree=tree)

    def proxy_pids(self) -> frozenset[int]:
        """Return the processes of the edge now."""
        pid = self._said().get("edge")
        return with_descendants({pid}) if pid else frozenset()

    def is_running(self) -> bool:
        """Tell whether the probes say that the container serves."""
        return self._said().get("state") == "RUNNING"

    def app_has_failed(self) -> bool:
        """Tell whether the container, or what runs before it, has ended."""
        return self._said().get("state") in ("BACKOFF", "FAILED") or self.has_given_up()

    def has_given_up(self) -> bool:
        """Tell whether the keeper has ended: a platform does so where the previous steps fail."""
        return self._process is not None and self._process.poll() is not None

    def state(self) -> str:
        """Return what the keeper does."""
        said = self._said()
        if not said:
            return "nothing is released" if self._process else "nothing was started"
        last = f", last exit status {said['status']}" if "status" in said else ""
        return f"the {self.terms.keeper} says {said['state']}{last}"

    def stop_app(self) -> None:
        """Let the keeper stop the container."""
        if self._process:
            kill({self._process.pid}, signal.SIGUSR1)
            wait_for(
                lambda: self._said().get("state", "STOPPED") == "STOPPED",
                bool,
                deadline_s=self.stop_grace_s + STOPPED_LATE_S,
            )

    def start_app(self) -> None:
        """Let the keeper start a container again."""
        if self._process:
            kill({self._process.pid}, signal.SIGUSR2)

    def unenforced_limit(self) -> str | None:
        """Return the limit of memory, where this machine cannot enforce it."""
        limit = self.terms.memory_mb
        return f"the {self.terms.keeper}'s limit of {limit} MiB" if limit and not self._group else None

    def advice(self, check_id: str) -> list[Advice]:
        """Return where a failed check is usually mended; not at the edge, which is a stand-in."""
        return found_in(check_id, self.ADVICE, self.server_advice, self.database.ADVICE)


def image_command(root: Path) -> ServerCommand:
    """Return what the project's image runs.

    Raises:
        StackError: it has no image, or that runs nothing.
    """
    files = ProjectFiles(root)
    command = command_of(files, IMAGE) if (root / IMAGE).is_file() else None
    if command is None:
        raise StackError(f"{IMAGE}: a container runs its CMD, and there is none")
    return with_server(files, command)


def networks_here(value: str) -> str:
    """Replace private networks in a list of networks, where an edge is, by the address of the sandbox's edge.

    What is no such list stays as it is.
    """
    found, is_moved = [], False
    for word in filter(None, (word.strip() for word in value.split(","))):
        try:
            is_private = "/" in word and ipaddress.ip_network(word, strict=False).is_private
        except ValueError:
            is_private = False
        is_moved |= is_private
        found.append(LOOPBACK if is_private else word)
    return ",".join(dict.fromkeys(found)) if is_moved else value
