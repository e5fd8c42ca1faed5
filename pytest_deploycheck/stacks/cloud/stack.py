"""The contract of platforms for containers: what the image runs, under what they ask of it, on this machine."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_deploycheck.advice import Advice
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
from pytest_deploycheck.stacks.cloud import container, platform_process
from pytest_deploycheck.stacks.cloud.contract import read_contract
from pytest_deploycheck.stacks.cloud.edge import edge_command
from pytest_deploycheck.stacks.command import in_copy, line_of, variables_of
from pytest_deploycheck.stacks.protocol import StackError

IMAGE = "Dockerfile"
START_GRACE_S = 1.0
STOPPED_LATE_S = 10.0


class CloudStack(BaseStack):
    """A copy of the project under the contract of platforms for containers; see the ``Stack`` protocol.

    A process stands for the platform. What only a platform keeps is not observed: see ``answers.py``.
    """

    NAME = "cloud"

    def __init__(
        self, copy: ProjectCopy, extra: Mapping[str, str] | None = None, *, acme: Acme | None = None
    ) -> None:
        super().__init__(copy, extra, acme=acme)
        self.contract = read_contract(copy.root / self.config.manager_config, self.config.manager_config)
        self._command = image_command(copy.root)
        self._state = copy.root.with_suffix(".platform.json")
        self._process: subprocess.Popen[bytes] | None = None
        self.log_keeper = "the platform"
        self.start_grace_s, self.stop_grace_s = START_GRACE_S, float(self.contract.stop_grace_s)
        edge = edge_command(copy, self.config)
        self.find_parts(
            {"app": self._command.server_line or self._command.line, "edge": edge}, kind="command"
        )
        self.parts["proxy"] = "edge"
        self._edge = self.relocate_proxy(edge)
        (self._port,) = self.app_ports.values()
        self._missing = container.needs()
        limit = self.config.memory_limit_mb
        self._group = container.memory_group(copy, limit) if limit else None
        self._relocate()

    def _relocate(self) -> None:
        """Note what is not as on a platform, and let the app listen on this machine only."""
        self.environment |= {
            self.contract.port_variable: str(self._port),
            "DEPLOYCHECK_PORTS": f"{self._port}={self._port}",
            "DEPLOYCHECK_LOOPBACK": LOOPBACK,
            "TMPDIR": str(copy_tmp(self.copy)),
        }
        limit = self.config.memory_limit_mb
        enforced = f"not enforced here: it needs {self._missing}" if self._missing else "as there"
        limited = (
            "a control group"
            if self._group
            else "not enforced by the kernel here: it needs root, and a memory controller"
        )
        files = ", ".join(self.contract.platforms.values()) or "no file of theirs"
        disk = "read-only but for TMPDIR" if self.contract.read_only else "writable"
        found, grace_s = self._command.found, self.contract.stop_grace_s
        variable = self.contract.port_variable
        self.relocated = [
            f"image -> not built: its command {found.value} ({found.where}) in {self.copy.run.folder.parent}",
            f"platform -> a process that gives it {variable}={self._port}, starts it anew, and stops it in {grace_s} s",
            f"the platform's edge -> Caddy on {LOOPBACK}:{self.entry.https_port}, with a certificate of the test CA",
            f"the disk, {disk}; the first process of its namespace -> {enforced}",
            *([f"memory limit of {limit} MiB -> {limited}"] if limit else []),
            "the image's user -> the user who runs the checks",
            f"the platforms themselves -> not asked: read was {files}",
        ]
        name = self.contract.networks_variable
        value = {**self.config.env, **self.environment}.get(name, "")
        if name and (moved := networks_here(value)) != value:
            self.environment[name] = moved
            self.relocated.append(f"the private networks in {name} -> {LOOPBACK}, where the edge is")

    def start(
        self,
        extra: Mapping[str, str] | None = None,
        *,
        folder: Path = Path("/"),
        terminal: Terminal | None = None,
        command: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Let the platform release what is in the copy, and return at once; nobody starts one in a terminal."""
        del terminal, command
        environment = {**self._settings(), **self.environment, **(extra or {})}
        order = self.copy.root.with_suffix(".order.json")
        order.write_text(json.dumps(self._order()), encoding="utf-8")
        self._state.unlink(missing_ok=True)
        words = [sys.executable, "-I", "-S", platform_process.__file__, str(order)]
        self._process = self.copy.spawn(shlex.join(words), environment, folder=folder)
        return self._process

    def _order(self) -> dict[str, Any]:
        """Return what the platform is to do."""
        steps = self.contract.previous_steps
        return {
            "edge": self.copy.argv(self._edge),
            "container": self._contained(line_of(self._command, self.copy.root)),
            "steps": self._contained(in_copy(steps, self._command, self.copy.root)) if steps else [],
            "folder": str(self.copy.root),
            "temporary": str(copy_tmp(self.copy)),
            "memory_group": str(self._group or ""),
            "port": self._port,
            "start_s": self.contract.start_s,
            "stop_grace_s": self.contract.stop_grace_s,
            "state": str(self._state),
        }

    def _contained(self, line: str) -> list[str]:
        words = self.copy.argv(line)
        if self._missing:
            return words
        return container.wrapped(self.copy, words, read_only=self.contract.read_only)

    def _settings(self) -> dict[str, str]:
        """Return the variables of the image, and those that the platform gives: what is in the environment file."""
        given = variables_of(self._command, self.copy.root, self.config.env_file)
        inside = {} if self._missing else {"DEPLOYCHECK_PROC": str(container.proc_of(self.copy))}
        return {"PATH": SYSTEM_PATH, **given, **inside}

    def _said(self) -> dict[str, Any]:
        """Return what the platform has written down last; empty where it does not run."""
        if self._process is None or self._process.poll() is not None:
            return {}
        with contextlib.suppress(OSError, ValueError):
            return dict(json.loads(self._state.read_text(encoding="utf-8")))
        return {}

    def processes(self) -> Processes:
        """Return the processes of the app now."""
        said = self._said()
        pid = said.get("container") if said.get("state") != "RELEASING" else None  # that one is no server
        first = platform_process.first_of(pid) if pid else None
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
        """Tell whether the container listens."""
        return self._said().get("state") == "RUNNING"

    def app_has_failed(self) -> bool:
        """Tell whether the container, or what runs before a release, has ended."""
        return self._said().get("state") in ("BACKOFF", "FAILED") or self.has_given_up()

    def has_given_up(self) -> bool:
        """Tell whether the platform has ended: it does so where the previous steps fail."""
        return self._process is not None and self._process.poll() is not None

    def state(self) -> str:
        """Return what the platform does."""
        said = self._said()
        if not said:
            return "nothing is released" if self._process else "nothing was started"
        last = f", last exit status {said['status']}" if "status" in said else ""
        return f"the platform says {said['state']}{last}"

    def stop_app(self) -> None:
        """Let the platform stop the container."""
        if self._process:
            kill({self._process.pid}, signal.SIGUSR1)
            wait_for(
                lambda: self._said().get("state", "STOPPED") == "STOPPED",
                bool,
                deadline_s=self.stop_grace_s + STOPPED_LATE_S,
            )

    def start_app(self) -> None:
        """Let the platform start a container again."""
        if self._process:
            kill({self._process.pid}, signal.SIGUSR2)

    def unenforced_limit(self) -> str | None:
        """Return the limit of memory, where this machine cannot enforce it."""
        limit = self.config.memory_limit_mb
        return f"the platform's limit of {limit} MiB" if limit and not self._group else None

    def advice(self, check_id: str) -> list[Advice]:
        """Return where a failed check is usually mended; not at the edge, which is not the project's."""
        own = [Advice(*ADVICE[check_id])] if check_id in ADVICE else []
        parts = (self.server, self.database)
        return [*own, *(part.ADVICE[check_id] for part in parts if check_id in part.ADVICE)]


def image_command(root: Path) -> ServerCommand:
    """Return what the project's image runs.

    Raises:
        StackError: it has no image, or that runs nothing.
    """
    files = ProjectFiles(root)
    command = command_of(files, IMAGE) if (root / IMAGE).is_file() else None
    if command is None:
        raise StackError(f"{IMAGE}: a platform runs its CMD, and there is none")
    return with_server(files, command)


def copy_tmp(copy: ProjectCopy) -> Path:
    """Return what is TMPDIR in a container."""
    return copy.root.with_suffix(".tmp")


def networks_here(value: str) -> str:
    """Replace private networks in a list, where a platform's edge is, by the address of the sandbox's edge."""
    found = []
    for word in filter(None, (word.strip() for word in value.split(","))):
        try:
            is_private = ipaddress.ip_network(word, strict=False).is_private
        except ValueError:
            is_private = False
        found.append(LOOPBACK if is_private else word)
    return ",".join(dict.fromkeys(found))


ADVICE = {
    "BOOT002": (IMAGE, None, "listen at 0.0.0.0 and the port in PORT, and write nothing but below TMPDIR"),
    "MEM002": ("deploy/cloud/contract.toml", None, "a limit of memory in each platform's file"),
    "PRE001": (
        "deploy/cloud/contract.toml",
        None,
        "previous_steps, which the platform runs before a release",
    ),
    "RST007": (IMAGE, None, "the exec form of CMD, and `exec` before the server where a script starts it"),
    "RST008": ("deploy/gunicorn.conf.py", None, "graceful_timeout below stop_grace_s of the contract"),
    "TLS003": ("src", None, "the app itself adds Strict-Transport-Security: no proxy of its own does"),
    "TLS005": ("src", None, "ProxyHeadersMiddleware with the platform's networks"),
    "TLS006": ("src", None, "ProxyHeadersMiddleware with the platform's networks only, and never '*'"),
    "TLS013": ("src", None, "the app itself limits bodies: no proxy of its own does"),
}
