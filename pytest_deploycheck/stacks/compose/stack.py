"""A copy of the project as a Compose project of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pytest_deploycheck import databases
from pytest_deploycheck.advice import Advice
from pytest_deploycheck.databases.protocol import Database
from pytest_deploycheck.outcome import Blocked, NotVerified
from pytest_deploycheck.probes.processes import Processes, with_descendants
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox import compose_plugin
from pytest_deploycheck.sandbox.engine import COMPOSE, Engine
from pytest_deploycheck.sandbox.health_timers import HealthTimers
from pytest_deploycheck.sandbox.run import COMMAND_TIMEOUT_S, Finished, ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH, require
from pytest_deploycheck.stacks.base import BaseStack, shortened
from pytest_deploycheck.stacks.compose.advice import ADVICE
from pytest_deploycheck.stacks.compose.containers import Containers
from pytest_deploycheck.stacks.compose.database import DatabaseService
from pytest_deploycheck.stacks.compose.images import Images, digest
from pytest_deploycheck.stacks.compose.second_file import second_file
from pytest_deploycheck.stacks.compose.secrets import make_secrets, secret_files
from pytest_deploycheck.stacks.compose.services import Services, seconds
from pytest_deploycheck.stacks.protocol import StackError

BUILD_TIMEOUT_S = 600.0
START_GRACE_S = 3.0
USUAL_STOP_S = 10.0
# What ends, whatever has ended the run: containers, volumes, networks of a project, and images that nobody else uses.
REMOVE = """
containers=$(docker ps --all --quiet --filter "label=$0")
docker kill $containers  # podman asks them to stop, else, and waits
docker rm --force --volumes $containers
docker volume rm --force $(docker volume ls --quiet --filter "label=$0")
docker network rm $(docker network ls --quiet --filter "label=$0")
docker image rm --force --no-prune $(docker images --format '{{.Repository}}:{{.Tag}}' "$1")
"""


class ComposeStack(BaseStack):
    """See the ``Stack`` protocol. A second file beside the project's own moves what only production has."""

    NAME = "compose"
    IN_CONTAINERS = True
    # An engine that is busy with other containers may take long to begin with one.
    refusal_deadline_s = 45.0
    # docker-compose 1.29 takes a second to start; Swarm hands an order on. Podman does not say when it has told.
    stop_delay_s = 2.0
    REMOVE = REMOVE
    LABELS = COMPOSE
    ADVICE = ADVICE
    CONTAINERS: type[Containers] = Containers

    def __init__(
        self, copy: ProjectCopy, extra: Mapping[str, str] | None = None, *, acme: Acme | None = None
    ) -> None:
        require("docker", copy.root / ".venv", install="https://docs.docker.com/engine/install/")
        engine = Engine.here()
        if os.geteuid() != 0:
            raise NotVerified(
                "processes in containers can be seen only by root: "
                f"sudo {sys.executable} -m pytest --deploycheck"
            )
        more = self._use(engine, copy)
        project = f"{copy.run.folder.name}-{copy.root.name}"
        self._engine = engine
        self._address = engine.address
        self._project = project
        self._file = copy.root.with_suffix(".compose.json")
        self._extra: dict[str, str] = {}
        self._database: DatabaseService | None = None
        super().__init__(copy, extra, acme=acme)
        self.log_keeper = "the container engine"
        self.hears_late = not engine.is_podman
        label, images = f"{self.LABELS.project}={project}", f"deploycheck/{copy.run.folder.name}"
        remove = ("sh", "-c", f"({self.REMOVE}) >/dev/null 2>&1", label, images)
        copy.run.at_the_end("env", f"DOCKER_HOST={engine.address}", *remove)
        commands = self._services.commands
        app, proxy = self.find_parts(commands, kind="service")
        if not proxy:
            raise StackError(
                f"{self.config.manager_config}: no service runs a proxy, and nothing else is run here"
            )
        self.containers = self.CONTAINERS(engine=engine, project=project, app=app, proxy=proxy)
        self.start_grace_s = START_GRACE_S
        self.stop_grace_s = seconds(self._services.by_name[app].get("stop_grace_period"), USUAL_STOP_S)
        self._proxy_command = self.relocate_proxy(commands[proxy])
        mounts = self._services.mounts().values()
        for mount in mounts:
            mount.here.mkdir(parents=True, exist_ok=True)
        self.relocated[:0] = [
            f"project -> a copy in {copy.run.folder.parent}, as the {self.NAME} project {project}",
            "users of the containers -> the user who runs the checks",
            *(f"volume {mount.name} -> {mount.here.relative_to(copy.root)} in the copy" for mount in mounts),
            *(f"secret {name} -> one of the run" for name in self._made_secrets),
            *filter(None, [more, self._ask_health(engine)]),
        ]

    def _use(self, _engine: Engine, copy: ProjectCopy) -> str | None:
        """Get ready to use the engine; return what was moved for it, if anything."""
        run = copy.run
        return run.shared("compose plugin", lambda: compose_plugin.put_into(run.folder))

    def find_database(self) -> Database:
        """Return the project's own service, if its file has one, or the run's database."""
        self._services = self._read()
        self._made_secrets = make_secrets(self.copy, self._services)
        if name := self._services.database:
            self._database = DatabaseService(
                name, self._services, start=self._start_service, stop=self._stop_service
            )
        return databases.find(self.config, self._database)

    def _start_service(self, name: str) -> None:
        found = self.containers.of(name)
        for one in found:
            self._engine.start(one)
        if not found:
            self._write(self._extra)
            self._compose(f"up --detach --no-deps {name}", self._extra)

    def _stop_service(self, name: str) -> None:
        for one in self.containers.of(name):
            self._engine.stop(one)

    def _ask_health(self, engine: Engine) -> str | None:
        """Ask the health checks if nobody else does; return what was moved for it, if anything."""
        if engine.asks_health:
            return None
        HealthTimers(engine, self._project, lambda: self.copy.run.is_closed).start()
        return "timers of systemd, which does not run here -> the checks ask the containers' health checks"

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where its files are, and where the engine keeps what its containers say."""
        return (*super().folders, *self.containers.log_folders())

    def _read(self) -> Services:
        """Let Compose itself read the project's file; copies with the same file and values share what it says."""
        files = (self.copy.root / name for name in (self.config.manager_config, self.config.env_file))
        texts = tuple(file.read_bytes() for file in files if file.is_file())
        said = self.copy.run.shared(("compose config", texts), self._config)
        try:
            found = YAML(typ="safe").load(said.output) if said.status == 0 else None
        except YAMLError as error:
            raise StackError(f"{self.config.manager_config}: {error}") from None
        if not isinstance(found, dict) or not isinstance(found.get("services"), dict):
            raise StackError(f"{self.config.manager_config}: {said.tail(3)}")
        return Services(
            root=self.copy.root,
            by_name=found["services"],
            volumes=frozenset(found.get("volumes") or ()),
            secrets=secret_files(found, self.copy.root),
        )

    def _config(self) -> Finished:
        version = self._compose("version", {})
        if version.status != 0:
            raise NotVerified(
                f"`docker compose` does not work here: {version.tail(1)}: "
                "https://docs.docker.com/compose/install/"
            )
        said = self._compose("config", {})
        return Finished(said.command, said.status, said.output.replace(str(self.copy.root), "."))

    def _values(self, extra: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the command ``docker compose``."""
        files = (self.copy.root / self.config.manager_config, self._file)
        return {
            **self.environment,
            **extra,
            "PATH": SYSTEM_PATH,
            "HOME": str(self.copy.run.folder),
            "DOCKER_HOST": self._address,
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

    def _write(self, extra: Mapping[str, str]) -> str:
        """Write the second file; return the name of the image that the copy, as it is now, becomes."""
        content = digest(self.copy.root, without=self.config.unversioned_files)
        image = f"deploycheck/{self.copy.run.folder.name}:{content}"
        document = self._document(image, extra)
        new = self._file.with_suffix(f".{threading.get_ident()}")
        new.write_text(json.dumps(document, indent=1), encoding="utf-8")
        new.replace(self._file)
        return image

    def _document(self, image: str, extra: Mapping[str, str]) -> dict[str, Any]:
        """Return what the second file says."""
        return second_file(
            self.copy,
            self._services,
            image=image,
            environment={**self.environment, **extra},
            proxy=(self.containers.proxy, self._proxy_command),
            database=self._moved_database,
        )

    def _moved_database(self, variables: Mapping[str, str]) -> dict[str, Any]:
        return self._database.moved(variables, self._image_words) if self._database else {}

    def _image_words(self, image: str) -> tuple[list[str], list[str]]:
        """Return entrypoint and command of an image, which is pulled if it is not here."""
        if not any(self._engine.image_words(image)):
            values = self._values(self._extra)
            self.copy.call(f"docker pull --quiet {shlex.quote(image)}", values, timeout_s=BUILD_TIMEOUT_S)
        return self._engine.image_words(image)

    def prepare(self, extra: Mapping[str, str] | None = None) -> None:
        """Build the image from the copy as it is now, if the run has none of this content yet."""
        self._prepare(extra or {})

    def _prepare(self, extra: Mapping[str, str]) -> str:
        """Return the name of the image."""
        image = self._write(extra)
        self.copy.run.shared("images", Images).build(image, lambda: self._build(image, extra))
        return image

    def _build(self, _image: str, extra: Mapping[str, str]) -> Finished:
        return self._compose("build", extra, timeout_s=BUILD_TIMEOUT_S)

    def start(
        self,
        extra: Mapping[str, str] | None = None,
        *,
        folder: Path = Path("/"),
        terminal: Terminal | None = None,
        command: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Run the start command, or another one, and return at once."""
        self._extra = dict(extra or {})
        self.prepare(self._extra)
        # What a power cut ended says nothing of the start after it.
        self.containers = replace(self.containers, before=self.containers.ends())
        values = self._values(self._extra)
        process = self.copy.spawn(command or self._command, values, folder=folder, terminal=terminal)
        threading.Thread(target=self._follow, args=(process, values), daemon=True).start()
        return process

    @property
    def _command(self) -> str:
        """What starts all."""
        return "docker compose up --detach"

    @property
    def _log_commands(self) -> list[str]:
        """What shows what the containers say, as long as they run."""
        return ["docker compose logs --follow --no-color --no-log-prefix"]

    def _follow(self, process: subprocess.Popen[bytes], values: dict[str, str]) -> None:
        """Write what the containers say to the copy's log file, once they are there."""
        self._wait_for_containers(process)
        with contextlib.suppress(Blocked):  # the run is over
            for command in self._log_commands:
                self.copy.spawn(command, values)

    def _wait_for_containers(self, process: subprocess.Popen[bytes]) -> None:
        process.wait()

    def call(
        self, command: str, extra: Mapping[str, str] | None = None, *, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> Finished:
        """Run one of the project's commands beside the containers, in the copy's folder."""
        values = {**self._extra, **(extra or {})}
        self._write(values)
        return self.copy.call(command, self._values(values), timeout_s=timeout_s)

    def bring_release(self) -> None:
        """Put the app's containers in the place of its old ones, with what the copy holds now."""
        self.prepare(self._extra)
        self._compose(f"up --detach --no-deps {self.containers.app}", self._extra)

    def processes(self) -> Processes:
        """Return the processes of the app now. The engine's own children are the first ones of the containers."""
        servers = self.containers.pids(self.containers.app)
        tree = with_descendants(servers)
        return Processes(
            manager=self.containers.engine.pid,
            servers=servers & tree,
            workers=tree & self.copy.events.pids("worker"),
            tree=tree,
        )

    def published(self) -> set[tuple[str, int]]:
        """Return the ports that the engine publishes: inside of the container they may have other numbers."""
        return self.containers.published()

    def proxy_pids(self) -> frozenset[int]:
        """Return the processes of the proxy now."""
        return with_descendants(self.containers.pids(self.containers.proxy))

    @property
    def health_check(self) -> str | None:
        """Return the project's own health check, or what the engine asks the app's container."""
        return self.config.health_check or self.containers.health_check()

    @property
    def health_check_of_manager(self) -> str | None:
        """Return what the engine asks the app's container, if the project has a health check beside that."""
        return self.containers.health_check() if self.config.health_check else None

    def is_running(self) -> bool:
        """Tell whether the engine says of app and proxy that they run, and of none that it is unhealthy."""
        return self.containers.are_running()

    def app_has_failed(self) -> bool:
        """Tell whether the engine says that a container of the app, or one that it waits for, has failed."""
        return self.containers.have_failed()

    def has_given_up(self) -> bool:
        """Tell whether a container has ended for good that should run, or one failed that the app waits for."""
        return self.containers.have_given_up()

    def forgotten_at_boot(self) -> list[str]:
        """Return the services that the engine would not start again by itself when the machine starts."""
        return self.containers.forgotten()

    def state(self) -> str:
        """Return the states of all containers."""
        return self.containers.describe()

    def log_tail(self, lines: int = 5, *, of_all_programs: bool = False) -> str:
        """Return its last lines, and those of what has failed that nobody has written down yet."""
        text = super().log_tail(lines, of_all_programs=of_all_programs)
        words = self.without_root(shortened(self.containers.last_words(lines).splitlines()))
        return "\n".join([text, *(line for line in words.splitlines() if line not in text)])

    def end(self) -> None:
        """SIGKILL everything. The database's container is made anew, as by each update of its image."""
        self.containers.kill()
        for one in self.containers.of(self._database.name) if self._database else ():
            self._engine.remove(one)
        super().end()

    def has_heard_of_stop(self, since: float) -> bool:
        """Tell whether the engine has sent signals to the app's containers since then."""
        return self.containers.got_signals(since)

    def stop_app(self) -> None:
        """Stop the app's containers."""
        self._compose(f"stop {self.containers.app}", self._extra, timeout_s=self.stop_grace_s + 30)

    def start_app(self) -> None:
        """Start the app's containers again."""
        self.prepare(self._extra)
        self.copy.spawn(
            f"docker compose up --detach --no-deps {self.containers.app}", self._values(self._extra)
        )

    def advice(self, check_id: str) -> list[Advice]:
        """Return where a failed check is usually mended: in the Compose file, the proxy's file or the server's."""
        found = []
        if check_id in self.ADVICE:
            key, text = self.ADVICE[check_id]
            found.append(Advice(self.config.manager_config, self._line(key), text))
        return [*found, *self.part_advice(check_id)]

    def _line(self, key: str) -> int | None:
        lines = (self.config.root / self.config.manager_config).read_text(encoding="utf-8").splitlines()
        start = f"  {self.containers.app}:"
        after = next((n for n, line in enumerate(lines) if line.startswith(start)), 0)
        numbered = list(enumerate(lines, 1))
        return next((n for n, line in numbered if n > after and line.strip().startswith(f"{key}:")), None)
