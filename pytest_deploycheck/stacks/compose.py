"""Compose: the project's own file and image, on this machine's container engine. https://compose-spec.io."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.outcome import Blocked, NotVerified
from pytest_deploycheck.probes import inside
from pytest_deploycheck.probes.processes import Processes, with_descendants
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.engine import PROJECT_LABEL, Container, Engine
from pytest_deploycheck.sandbox.run import COMMAND_TIMEOUT_S, Finished, ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH, require
from pytest_deploycheck.stacks.base import BaseStack, tail
from pytest_deploycheck.stacks.protocol import StackError

BUILD_TIMEOUT_S = 600.0
START_GRACE_S = 3.0
USUAL_STOP_S = 10.0
PROC = "/deploycheck/proc"
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
UP_AGAIN = ("restarting", "exited", "dead")
# What ends, whatever has ended the run: containers, volumes, networks and images of its projects.
REMOVE = """
for id in $(docker ps --all --quiet --filter "label=$0"); do docker rm --force --volumes "$id"; done
for id in $(docker volume ls --quiet --filter "label=$0"); do docker volume rm --force "$id"; done
for id in $(docker network ls --quiet --filter "label=$0"); do docker network rm "$id"; done
docker image rm --force --no-prune "$1"
"""


class ComposeStack(BaseStack):
    """A copy of the project as a Compose project of its own; see the ``Stack`` protocol.

    A second file beside the project's own moves what only production has. The image is built from the copy.
    """

    NAME = "compose"

    def __init__(
        self, copy: ProjectCopy, extra: Mapping[str, str] | None = None, *, acme: Acme | None = None
    ) -> None:
        require("docker", copy.root / ".venv", install="https://docs.docker.com/engine/install/")
        self._engine = Engine.here()
        if os.geteuid() != 0:
            raise NotVerified(
                "processes in containers can be seen only by root: "
                f"sudo {sys.executable} -m pytest --deploycheck"
            )
        super().__init__(copy, extra, acme=acme)
        self._process: subprocess.Popen[bytes] | None = None
        self._project = f"{copy.run.folder.name}-{copy.root.name}"
        self._file = copy.root.with_suffix(".compose.json")
        self._image = f"deploycheck/{self._project}"
        self.log_keeper = "the container engine"
        label = f"{PROJECT_LABEL}={self._project}"
        copy.run.at_the_end(
            "env",
            f"DOCKER_HOST={self._engine.address}",
            "sh",
            "-c",
            f"({REMOVE}) >/dev/null 2>&1",
            label,
            self._image,
        )
        self._services = self._read()
        commands = {name: self._command(service) for name, service in self._services.items()}
        self._app, proxy = self.find_parts(commands, kind="service")
        assert proxy, "a Compose file without a proxy is not run as one"
        self._proxy = proxy
        self.start_grace_s = START_GRACE_S
        self.stop_grace_s = seconds(self._services[self._app].get("stop_grace_period"), USUAL_STOP_S)
        self._proxy_command = self.relocate_proxy(commands[self._proxy])
        self._relocate()
        self._prepare({})  # the next time it is in the engine's cache, and no start has to wait for it

    def _read(self) -> dict[str, dict[str, Any]]:
        """Let Compose itself read the project's file, and return its services."""
        done = self._compose("version", {})
        if done.status != 0:
            raise NotVerified(
                f"`docker compose` does not work here: https://docs.docker.com/compose/install/: {done.tail(1)}"
            )
        done = self._compose("config", {})
        try:
            found = YAML(typ="safe").load(done.output) if done.status == 0 else None
        except YAMLError as error:
            raise StackError(f"{self.config.manager_config}: {error}") from None
        if not isinstance(found, dict) or not isinstance(found.get("services"), dict):
            raise StackError(f"{self.config.manager_config}: {done.tail(3)}")
        self._volumes = list(found.get("volumes") or {})
        return dict(found["services"])

    def _command(self, service: Mapping[str, Any]) -> str:
        """Return what a service runs; where that is a script of the project, what the script becomes."""
        words = service.get("command") or self._image_command(service)
        words = shlex.split(words) if isinstance(words, str) else [str(word) for word in words]
        file = self.copy.root / words[0] if words else None
        if file and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
            if lines := re.findall(r"^\s*exec (.+)$", text, re.MULTILINE):
                return str(lines[-1])
        return shlex.join(words)

    def _image_command(self, service: Mapping[str, Any]) -> str | list[str]:
        """Return the CMD of the project's Dockerfile, if the service runs the image that is built from it."""
        images = {other.get("image") for other in self._services_built()}
        if "build" in service or service.get("image") in images:
            text = (self.copy.root / "Dockerfile").read_text(encoding="utf-8")
            if found := re.findall(r"^CMD\s+(.+)$", text, re.MULTILINE):
                return list(json.loads(found[-1])) if found[-1].startswith("[") else str(found[-1])
        return []

    def _services_built(self) -> Iterator[dict[str, Any]]:
        yield from (service for service in self._services.values() if "build" in service)

    def _is_ours(self, service: Mapping[str, Any]) -> bool:
        """Tell whether a service runs the project's own image."""
        return "build" in service or service.get("image") in {
            one.get("image") for one in self._services_built()
        }

    def _relocate(self) -> None:
        """Note what is moved; see ``_override``."""
        self.relocated[:0] = [
            f"project -> a copy in {self.copy.run.folder.parent}, as the Compose project {self._project}",
            "users of the containers -> the user who runs the checks",
        ]
        for name, path, _ in self._mounts():
            self.relocated.append(f"volume {name} -> {path.relative_to(self.copy.root)} in the copy")
            path.mkdir(parents=True, exist_ok=True)

    def _mounts(self) -> list[tuple[str, Path, str]]:
        """Return the named volumes of app and proxy, where they are here, and there."""
        found = {}
        for service in self._services.values():
            workdir = PurePosixPath(service.get("working_dir") or "/app")
            for name, target in map(mount_of, service.get("volumes") or ()):
                if name in self._volumes:
                    path = PurePosixPath(target)
                    inside_of = (
                        path.relative_to(workdir)
                        if path.is_relative_to(workdir)
                        else PurePosixPath("var", name)
                    )
                    found[name] = (name, self.copy.root / inside_of, target)
        return list(found.values())

    def _override(self, extra: Mapping[str, str]) -> dict[str, Any]:
        """Return a second Compose file, which moves what only production has."""
        folder, probe = self.copy.run.folder, str(Path(inside.__file__).parent)
        places = {name: path for name, path, _ in self._mounts()}
        environment = {**self.copy.environment(self.environment), **extra, "DEPLOYCHECK_PROC": PROC}
        services: dict[str, Any] = {}
        for name, service in self._services.items():
            volumes = [f"{folder}:{folder}", f"/proc:{PROC}:ro"]
            for source, target in map(mount_of, service.get("volumes") or ()):
                if source in places:
                    volumes.append(f"{places[source]}:{target}")
            services[name] = {"user": "0:0", "volumes": volumes, "environment": dict(environment)}
            if self._is_ours(service):
                services[name]["image"] = self._image
                services[name]["volumes"].append(f"{probe}:{probe}:ro")
            else:
                services[name]["environment"].pop("PYTHONPATH")
        services[self._proxy]["command"] = shlex.split(self._proxy_command)
        version = self._own_version()
        return {**version, "services": services}

    def _own_version(self) -> dict[str, str]:
        """Return the version that the project's file names: old Compose wants the same in all files."""
        text = (self.copy.root / self.config.manager_config).read_text(encoding="utf-8")
        found = re.search(r"^version:\s*['\"]?([\d.]+)", text, re.MULTILINE)
        return {"version": found[1]} if found else {}

    def _values(self, extra: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the command ``docker compose``."""
        files = (self.copy.root / self.config.manager_config, self._file)
        return {
            **self.environment,
            **extra,
            "PATH": SYSTEM_PATH,
            "HOME": str(self.copy.run.folder),
            "DOCKER_HOST": self._engine.address,
            "COMPOSE_PROJECT_NAME": self._project,
            "COMPOSE_FILE": ":".join(str(file) for file in files if file.exists()),
            "COMPOSE_HTTP_TIMEOUT": "120",
            "DOCKER_BUILDKIT": "0",
            "COMPOSE_DOCKER_CLI_BUILD": "0",
        }

    def _compose(
        self, arguments: str, extra: Mapping[str, str], *, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> Finished:
        return self.copy.call(f"docker compose {arguments}", self._values(extra), timeout_s=timeout_s)

    def _prepare(self, extra: Mapping[str, str]) -> None:
        """Write the second file, and build the image from the copy as it is now."""
        self._file.write_text(json.dumps(self._override(extra), indent=1), encoding="utf-8")
        done = self._compose("build", extra, timeout_s=BUILD_TIMEOUT_S)
        if done.status != 0:
            raise StackError(f"Dockerfile: the image cannot be built: {done.tail(3)}")

    def start(
        self,
        extra: Mapping[str, str] | None = None,
        *,
        folder: Path = Path("/"),
        terminal: Terminal | None = None,
        command: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Build the image, run ``docker compose up --detach``, or another command, and return at once."""
        extra = extra or {}
        self._prepare(extra)
        self._process = self.copy.spawn(
            command or "docker compose up --detach", self._values(extra), folder=folder, terminal=terminal
        )
        threading.Thread(target=self._follow, args=(self._process, extra), daemon=True).start()
        return self._process

    def _follow(self, process: subprocess.Popen[bytes], extra: Mapping[str, str]) -> None:
        """Write what the containers say to the copy's log file, as ``docker compose logs`` shows it."""
        process.wait()
        with contextlib.suppress(Blocked):  # the run is over
            self.copy.spawn("docker compose logs --follow --no-color --no-log-prefix", self._values(extra))

    def call(
        self, command: str, extra: Mapping[str, str] | None = None, *, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> Finished:
        """Run one of the project's commands beside the containers, in the copy's folder."""
        extra = extra or {}
        if extra or " run " in command:
            self._prepare(extra)
        return self.copy.call(command, self._values(extra), timeout_s=timeout_s)

    def _containers(self, *services: str) -> list[Container]:
        found = self._engine.containers(self._project)
        return [one for one in found if not services or one.service in services]

    def processes(self) -> Processes:
        """Return the processes of the app now. The engine's own children are the first ones of the containers."""
        servers = frozenset(
            one.pid for one in self._containers(self._app) if one.status == "running" and one.pid
        )
        tree = with_descendants(servers)
        return Processes(
            manager=self._engine.pid,
            servers=servers & tree,
            workers=tree & self.copy.events.pids("worker"),
            tree=tree,
        )

    def proxy_pids(self) -> frozenset[int]:
        """Return the processes of the proxy now."""
        return with_descendants(one.pid for one in self._containers(self._proxy) if one.pid)

    def is_running(self) -> bool:
        """Tell whether the engine says of app and proxy that they run, and of none that it is unhealthy."""
        found = self._containers(self._app, self._proxy)
        return {one.service for one in found} == {self._app, self._proxy} and all(
            one.status == "running" and one.health in {"", "healthy"} for one in found
        )

    def app_has_failed(self) -> bool:
        """Tell whether the engine says that a container of the app, or one that it waits for, has failed."""
        return any(
            one.status in UP_AGAIN and (one.service == self._app or one.exit_status != 0)
            for one in self._containers()
            if one.service != self._proxy
        )

    def has_given_up(self) -> bool:
        """Tell whether a container has ended for good that should run, or one failed that the app waits for."""
        return any(
            one.status in {"exited", "dead"}
            and (one.exit_status != 0 or one.service in {self._app, self._proxy})
            for one in self._containers()
        )

    def state(self) -> str:
        """Return the states of all containers."""
        return (
            "; ".join(
                f"{one.service} {one.status}{f' ({one.health})' if one.health else ''}, restarts {one.restarts}, "
                f"last exit status {one.exit_status}"
                for one in self._containers()
            )
            or "there are no containers"
        )

    def end(self) -> None:
        """SIGKILL everything; what the engine has killed on request it does not start again."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self._engine.kill, self._containers()))
        super().end()

    def stop_app(self) -> None:
        """Stop the app's containers."""
        self._compose(f"stop {self._app}", {}, timeout_s=self.stop_grace_s + 30)

    def start_app(self) -> None:
        """Start the app's containers again."""
        self.copy.spawn(f"docker compose start {self._app}", self._values({}))

    def log_files(self) -> list[Path]:
        """Return the file that has what all containers say."""
        return [self.copy.log_file] if self.copy.log_file.is_file() else []

    def log_tail(self, lines: int = 5, *, of_all_programs: bool = False) -> str:
        """Return the last lines of what Compose and the containers said."""
        del of_all_programs
        return self.without_root("\n".join(tail(file, 3 * lines) for file in self.log_files()))

    def advice(self, check_id: str) -> list[Advice]:
        """Return where a failed check is usually mended: in the Compose file, the proxy's file or the server's."""
        found = []
        if check_id in ADVICE:
            key, text = ADVICE[check_id]
            found.append(Advice(self.config.manager_config, self._line(key), text))
        return [*found, *self.part_advice(check_id)]

    def _line(self, key: str) -> int | None:
        lines = (self.config.root / self.config.manager_config).read_text(encoding="utf-8").splitlines()
        after = next((n for n, line in enumerate(lines) if line.startswith(f"  {self._app}:")), 0)
        return next(
            (n for n, line in enumerate(lines, 1) if n > after and line.strip().startswith(f"{key}:")), None
        )


def mount_of(mount: object) -> tuple[str, str]:
    """Return source and target of a mount, in its short or its long form."""
    if isinstance(mount, dict):
        return str(mount.get("source", "")), str(mount.get("target", ""))
    source, _, rest = str(mount).partition(":")
    return source, rest.partition(":")[0]


def seconds(text: object, usual: float) -> float:
    """Return a duration of Compose, such as ``1m30s``, in seconds."""
    found = DURATION.findall(str(text or ""))
    return sum(float(number) * SECONDS[unit] for number, unit in found) if found else usual


ADVICE = {
    "RST002": ("restart", "restart: always, or unless-stopped"),
    "RST003": ("restart", "restart: always: on-failure leaves an app down that exits with status 0"),
    "RST007": ("command", "the exec form of CMD, and `exec` before the server where a script starts it"),
    "RST008": ("stop_grace_period", "stop_grace_period above the server's own graceful timeout"),
    "MEM002": ("mem_limit", "mem_limit for the service, and memswap_limit of the same size"),
    "RES004": ("ulimits", "ulimits: nofile above what the processes hold"),
    "PRE001": (
        "depends_on",
        "depends_on: the previous steps, with condition: service_completed_successfully",
    ),
}
