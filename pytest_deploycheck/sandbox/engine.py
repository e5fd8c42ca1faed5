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
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.unix import UnixConnection

USUAL_SOCKET = "/var/run/docker.sock"
# Podman lets timers of systemd ask health checks; the folder is there where systemd runs: sd_booted(3).
SYSTEMD = Path("/run/systemd/system")
PATIENCE_S = 30.0
# Of a health check that names none.
USUAL_INTERVAL_S = 30.0
NANOSECONDS = 1e9
EVERYWHERE = "0.0.0.0"  # noqa: S104  # nosec B104  (what engines say, and nobody here listens at)
# Where podman's own interface begins: https://docs.podman.io/en/latest/_static/api.html
PODMAN = "/v4.0.0/libpod"
FRAME = struct.Struct(">4xL")


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The labels of containers that tell what they belong to: a project, and one of its services."""

    project: str
    service: str


COMPOSE = Labels(project="com.docker.compose.project", service="com.docker.compose.service")
SWARM = Labels(project="com.docker.stack.namespace", service="com.docker.swarm.service.name")


@dataclass(frozen=True, kw_only=True)
class Container:
    """A container at one moment.

    Attributes:
        identity: the engine's name for it.
        service: the service of the file that it belongs to.
        created: when, as text that sorts.
        status: as the engine says it: ``created``, ``running``, ``restarting``, ``exited`` or ``dead``.
        pid: of its first process, as this machine counts; 0 if it does not run.
        exit_status: of its last end.
        health: ``healthy``, ``unhealthy``, ``starting``; empty without a health check.
        restarts: how often the engine has started it again.
        ended: when it ended last, as the engine says it.
        log_file: where the engine keeps what it says; None if in no file.
        health_test: the command that the engine asks for its health; empty if there is none.
        health_every_s: how long it waits before it asks again, in seconds.
        restart: the policy by which the engine itself starts it again; ``no`` if it does not.
        is_for_once: it is a command that somebody runs beside the services (``docker compose run``).
        published: host and port of this machine where the engine takes TCP connections for it.
    """

    identity: str
    service: str
    status: str
    pid: int
    exit_status: int
    health: str
    restarts: int
    created: str
    ended: str
    log_file: Path | None = None
    health_test: tuple[str, ...] = ()
    health_every_s: float = USUAL_INTERVAL_S
    restart: str = "no"
    is_for_once: bool = False
    published: tuple[tuple[str, int], ...] = ()

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

    @property
    def is_podman(self) -> bool:
        """Whether it is podman's service, which speaks as Docker does."""
        parts = (self._ask("GET", "/version") or {}).get("Components") or ()
        return any("podman" in str(part.get("Name")).lower() for part in parts)

    @property
    def asks_health(self) -> bool:
        """Whether health checks are asked by themselves: podman leaves them to timers of systemd."""
        return SYSTEMD.is_dir() or not self.is_podman

    def ask_health(self, identity: str) -> None:
        """Let podman run the health check of a container, as a timer of systemd would, and keep what it has said."""
        self._send("GET", f"{PODMAN}/containers/{identity}/healthcheck")

    def knows(self, identity: str) -> bool:
        """Tell whether there is such a container, running or not."""
        return self._ask("GET", f"/containers/{identity}/json") is not None

    def containers(self, project: str, labels: Labels = COMPOSE) -> list[Container]:
        """Return the containers of a project, in the order of their names; none where nobody answers."""
        filters = quote(json.dumps({"label": [f"{labels.project}={project}"]}))
        listed = self._ask("GET", f"/containers/json?all=1&filters={filters}") or ()
        shown = (self._ask("GET", f"/containers/{one['Id']}/json") for one in listed)
        found = sorted(filter(None, shown), key=lambda one: str(one["Name"]))
        return [_container(one, project, labels) for one in found]

    @property
    def is_manager(self) -> bool:
        """Whether it is a manager of a swarm."""
        return bool(((self._ask("GET", "/info") or {}).get("Swarm") or {}).get("ControlAvailable"))

    def tasks(self, service: str) -> list[dict[str, Any]]:
        """Return what a swarm knows of the tasks of a service, those that have ended too; none if there is no such."""
        return self._ask("GET", f"/tasks?filters={quote(json.dumps({'service': [service]}))}") or []

    def restart_condition(self, service: str) -> str:
        """Return when a swarm puts another task in the place of one that has ended; ``unknown`` if it does not say."""
        found = self._ask("GET", f"/services/{service}")
        policy = ((found["Spec"]["TaskTemplate"]).get("RestartPolicy") or {}) if found else {}
        return str(policy.get("Condition") or ("any" if found else "unknown"))

    def published_by_all(self, service: str) -> set[tuple[str, int]]:
        """Return where each machine of the swarm takes TCP connections for a service, with a task or without one."""
        endpoint = (self._ask("GET", f"/services/{service}") or {}).get("Endpoint") or {}
        return {
            (EVERYWHERE, int(port["PublishedPort"]))
            for port in endpoint.get("Ports") or ()
            if (port["Protocol"], port["PublishMode"]) == ("tcp", "ingress")
        }

    def remove_service(self, service: str) -> None:
        """Let the swarm forget a service; it then ends the tasks."""
        self._ask("DELETE", f"/services/{service}")

    def kill(self, container: Container) -> None:
        """SIGKILL all of a container's processes; the engine does not start it again."""
        self._ask("POST", f"/containers/{container.identity}/kill")

    def signalled(self, since: float) -> frozenset[str]:
        """Return the containers to which the engine has sent a signal since then (``time.time()``)."""
        filters = quote(json.dumps({"type": ["container"], "event": ["kill"]}))
        query = f"since={since:.3f}&until={time.time():.3f}&filters={filters}"
        said = self._send("GET", f"/events?{query}").splitlines()
        return frozenset(str(json.loads(line)["Actor"]["ID"]) for line in said)

    def start(self, container: Container) -> None:
        """Start a container that has ended."""
        self._ask("POST", f"/containers/{container.identity}/start")

    def stop(self, container: Container) -> None:
        """Stop a container with its own signal and grace; the engine does not start it again."""
        self._ask("POST", f"/containers/{container.identity}/stop")

    def remove(self, container: Container) -> None:
        """Remove a container that has ended, and volumes without a name."""
        self._ask("DELETE", f"/containers/{container.identity}?v=1&force=1")

    def image_words(self, name: str) -> tuple[list[str], list[str]]:
        """Return entrypoint and command of an image; nothing if it is not here."""
        found = (self._ask("GET", f"/images/{quote(name, safe='')}/json") or {}).get("Config") or {}
        return list(found.get("Entrypoint") or ()), list(found.get("Cmd") or ())

    def log(self, container: Container, lines: int) -> str:
        """Return the last lines that a container has printed."""
        return _text(
            self._send("GET", f"/containers/{container.identity}/logs?stdout=1&stderr=1&tail={lines}")
        )

    def _ask(self, method: str, path: str) -> Any:
        """Return the JSON that the engine answers; None if it does not answer, or says no."""
        with contextlib.suppress(ValueError):
            return json.loads(self._send(method, path))
        return None

    def _send(self, method: str, path: str) -> bytes:
        """Return what the engine answers; nothing if it does not answer, or says no."""
        connection = UnixConnection(self.socket, timeout_s=PATIENCE_S)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request(method, path)
            response = connection.getresponse()
            found = response.read()
            return found if response.status == http.client.OK else b""
        return b""


def _container(shown: Mapping[str, Any], project: str, labels: Labels) -> Container:
    state, health_check = shown["State"], shown["Config"].get("Healthcheck") or {}
    return Container(
        identity=shown["Id"],
        # A swarm puts the name of the stack before that of the service.
        service=shown["Config"]["Labels"].get(labels.service, "").removeprefix(f"{project}_"),
        status=state["Status"],
        pid=state["Pid"],
        exit_status=state["ExitCode"],
        health=(state.get("Health") or {}).get("Status", ""),
        restarts=shown["RestartCount"],
        created=shown["Created"],
        ended=state["FinishedAt"],
        log_file=Path(shown["LogPath"]) if shown.get("LogPath") else None,
        health_test=_health_test(health_check.get("Test") or ()),
        health_every_s=(health_check.get("Interval") or 0) / NANOSECONDS or USUAL_INTERVAL_S,
        restart=(shown["HostConfig"].get("RestartPolicy") or {}).get("Name") or "no",
        is_for_once=shown["Config"]["Labels"].get("com.docker.compose.oneoff") == "True",
        published=tuple(_published((shown.get("NetworkSettings") or {}).get("Ports") or {})),
    )


def _published(ports: Mapping[str, Sequence[Mapping[str, str]] | None]) -> Iterator[tuple[str, int]]:
    for inside, places in ports.items():
        for place in places or ():
            if inside.endswith("/tcp"):
                yield place["HostIp"] or EVERYWHERE, int(place["HostPort"])


def _health_test(said: Sequence[str]) -> tuple[str, ...]:
    """Return the command of a health check as a container has it: as words, for a shell, or as none."""
    kind, *words = said or ("NONE",)
    if kind == "CMD-SHELL":
        return ("/bin/sh", "-c", *words)
    return tuple(words) if kind == "CMD" else ()


def _text(frames: bytes) -> str:
    """Return what a container has printed: the engine sends frames, each with stream and length before it."""
    found = []
    while len(frames) > FRAME.size:
        end = FRAME.size + FRAME.unpack_from(frames)[0]
        found.append(frames[FRAME.size : end])
        frames = frames[end:]
    return b"".join(found).decode("utf-8", errors="replace")
