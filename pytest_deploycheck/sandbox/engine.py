"""The container engine of this machine: what it says of containers, over its own interface.

https://docs.docker.com/reference/api/engine/; podman's service speaks the same.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.unix import UnixConnection

USUAL_SOCKET = "/var/run/docker.sock"
PATIENCE_S = 30.0
PROJECT_LABEL = "com.docker.compose.project"
SERVICE_LABEL = "com.docker.compose.service"
ONE_OFF_LABEL = "com.docker.compose.oneoff"


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container at one moment.

    Attributes:
        identity: the engine's name for it.
        service: the service of the Compose file that it belongs to.
        status: as the engine says it: ``created``, ``running``, ``restarting``, ``exited`` or ``dead``.
        pid: of its first process, as this machine counts; 0 if it does not run.
        exit_status: of its last end.
        health: ``healthy``, ``unhealthy``, ``starting``; empty without a health check.
        restarts: how often the engine has started it again.
        log_file: where the engine keeps what it says; None if in no file.
    """

    identity: str
    service: str
    status: str
    pid: int
    exit_status: int
    health: str
    restarts: int
    log_file: Path | None = None

    def __str__(self) -> str:
        health = f" ({self.health})" if self.health else ""
        return f"{self.service} {self.status}{health}, restarts {self.restarts}, last exit status {self.exit_status}"


@dataclass(frozen=True)
class Engine:
    """The engine that listens on a unix socket."""

    socket: Path

    @classmethod
    def here(cls) -> Engine:
        """Return the one that the command ``docker`` would speak to.

        Raises:
            NotVerified: there is none on this machine.
        """
        address = os.environ.get("DOCKER_HOST") or f"unix://{USUAL_SOCKET}"
        engine = cls(Path(address.removeprefix("unix://")))
        if not address.startswith("unix://") or not engine.pid:
            raise NotVerified(
                f"no container engine answers at {address}: start Docker, or set DOCKER_HOST to its unix socket"
            )
        return engine

    @property
    def address(self) -> str:
        """The address, as ``DOCKER_HOST`` takes it."""
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        """The process that listens there; 0 if there is none, or the kernel does not say."""
        connection = UnixConnection(self.socket, timeout_s=PATIENCE_S)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.connect()
            said = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
            return int(struct.unpack("3i", said)[0])
        return 0

    def containers(self, project: str) -> list[Container]:
        """Return the containers of a Compose project, in the order of their names; none where nobody answers."""
        filters = quote(json.dumps({"label": [f"{PROJECT_LABEL}={project}"]}))
        listed = self._ask("GET", f"/containers/json?all=1&filters={filters}") or ()
        shown = (self._ask("GET", f"/containers/{one['Id']}/json") for one in listed)
        return [_container(one) for one in sorted(filter(None, shown), key=lambda one: str(one["Name"]))]

    def kill(self, container: Container) -> None:
        """SIGKILL all of a container's processes; the engine does not start it again."""
        self._ask("POST", f"/containers/{container.identity}/kill")

    def _ask(self, method: str, path: str) -> Any:
        """Return the JSON that the engine answers; None if it does not answer, or says no."""
        connection = UnixConnection(self.socket, timeout_s=PATIENCE_S)
        with (
            contextlib.suppress(OSError, http.client.HTTPException, ValueError),
            contextlib.closing(connection),
        ):
            connection.request(method, path)
            response = connection.getresponse()
            text = response.read()
            return json.loads(text) if response.status == http.client.OK else None
        return None


def _container(shown: Mapping[str, Any]) -> Container:
    state = shown["State"]
    return Container(
        identity=shown["Id"],
        service=shown["Config"]["Labels"].get(SERVICE_LABEL, ""),
        status=state["Status"],
        pid=state["Pid"],
        exit_status=state["ExitCode"],
        health=(state.get("Health") or {}).get("Status", ""),
        restarts=shown["RestartCount"],
        log_file=Path(shown["LogPath"]) if shown.get("LogPath") else None,
    )
