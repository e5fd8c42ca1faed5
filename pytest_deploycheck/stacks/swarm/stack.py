"""A copy of the project as a stack of its own, in the swarm that this machine's engine manages."""

from __future__ import annotations

import itertools
import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pytest_deploycheck.detection.words import expanded
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.engine import SWARM, Engine
from pytest_deploycheck.sandbox.run import COMMAND_TIMEOUT_S, Finished, ProjectCopy
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH
from pytest_deploycheck.stacks.compose.secrets import secret_files
from pytest_deploycheck.stacks.compose.services import Services, seconds
from pytest_deploycheck.stacks.compose.stack import BUILD_TIMEOUT_S, ComposeStack
from pytest_deploycheck.stacks.protocol import StackError
from pytest_deploycheck.stacks.swarm.advice import ADVICE
from pytest_deploycheck.stacks.swarm.moved_file import moved_file, only
from pytest_deploycheck.stacks.swarm.tasks import Tasks

# `docker stack deploy` does not wait for the containers.
DEPLOY = """sh -c '
docker stack deploy --resolve-image never --compose-file "$STACK_FILE" "$STACK" || exit
until docker ps --quiet --filter "label=com.docker.stack.namespace=$STACK" | grep -q .; do sleep 0.1; done
'"""
# A grace of hours cannot be waited for.
LONGEST_GRACE_S = 60.0
# What ends, whatever has ended the run: services, secrets and configs of a stack, then what the engine had of it.
REMOVE = """
docker stack rm "${0#*=}"
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    ids=$(docker ps --all --quiet --filter "label=$0")
    [ -z "$ids" ] || docker rm --force --volumes $ids
    networks=$(docker network ls --quiet --filter "label=$0")
    [ -z "$networks" ] || docker network rm $networks
    volumes=$(docker volume ls --quiet --filter "label=$0")
    [ -z "$volumes" ] || docker volume rm --force $volumes
    [ -n "$ids$networks$volumes" ] || break
    sleep 0.2
done
docker image rm --force --no-prune $(docker images --format '{{.Repository}}:{{.Tag}}' "$1")
"""


class SwarmStack(ComposeStack):
    """See the ``Stack`` protocol. The project's commands deploy the file $STACK_FILE as the stack $STACK."""

    NAME = "swarm"
    # With a database and certbot a copy has five containers to make, beside those of the other copies.
    start_deadline_s = 120.0
    REMOVE = REMOVE
    LABELS = SWARM
    CONTAINERS = Tasks
    ADVICE = ADVICE
    containers: Tasks

    def _use(self, engine: Engine, copy: ProjectCopy) -> None:
        if not engine.is_manager:
            raise NotVerified(
                "this machine's engine is no manager of a swarm: docker swarm init --advertise-addr 127.0.0.1 "
                "(and docker swarm leave --force, when it should be none any more)"
            )
        self._deployments = itertools.count(1)
        self.starters = copy.run.config.replicas

    def _read(self) -> Services:
        """Read the stack file. Values in ``${}`` stay, but for images: ``docker stack deploy`` knows them."""
        file, reader = self.copy.root / self.config.manager_config, YAML(typ="safe", pure=True)
        reader.version = (1, 1)  # for docker, 0400 is an octal number
        try:
            self._own_file: dict[str, Any] = reader.load(file.read_text(encoding="utf-8"))
        except (OSError, YAMLError) as error:
            raise StackError(f"{self.config.manager_config}: {error}") from None
        services = self._own_file.get("services") if isinstance(self._own_file, dict) else None
        if not isinstance(services, dict):
            raise StackError(f"{self.config.manager_config}: it has no services")
        services = {
            name: {**service, "image": expanded(str(service.get("image") or ""), self.config.env)}
            for name, service in services.items()
        }
        volumes = frozenset(self._own_file.get("volumes") or ())
        found = Services(root=self.copy.root, by_name=services, volumes=volumes)
        own = {str(service.get("image")) for service in services.values() if found.is_script(service)}
        secrets = secret_files(self._own_file, file.parent)
        return replace(found, own_images=frozenset(own), secrets=secrets)

    @property
    def start_grace_s(self) -> float:
        """The time before the swarm ends a task that is not healthy yet, which may live until SIGKILL, in seconds."""
        health = self._services.by_name[self.containers.app].get("healthcheck") or {}
        tries = float(health.get("retries") or 3) * seconds(health.get("interval"), 30)
        grace_s = seconds(health.get("start_period"), 0) + tries + self.stop_grace_s
        return grace_s if grace_s < LONGEST_GRACE_S else self._start_grace_s

    @start_grace_s.setter
    def start_grace_s(self, value: float) -> None:
        self._start_grace_s = value

    def _values(self, extra: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of the commands that deploy."""
        return {
            **self.environment,
            **extra,
            "PATH": SYSTEM_PATH,
            "HOME": str(self.copy.run.folder),
            "DOCKER_HOST": self._address,
            "DOCKER_BUILDKIT": "0",
            "STACK": self._project,
            "STACK_FILE": str(self._file),
            "RELEASE": "deploycheck",
        }

    def _document(self, image: str, extra: Mapping[str, str]) -> dict[str, Any]:
        release = f"{image} {next(self._deployments)}"
        folder = (self.copy.root / self.config.manager_config).parent
        return moved_file(self._own_file, super()._document(image, extra), folder=folder, release=release)

    def _start_service(self, name: str) -> None:
        """Let the swarm want a task of the service; deploy it alone where nothing is deployed."""
        if self._scale(name, 1).status != 0:
            self._write(self._extra)
            file = self._file.with_suffix(".alone.json")
            document = json.loads(self._file.read_text(encoding="utf-8"))
            file.write_text(json.dumps(only(name, document)), encoding="utf-8")
            values = {**self.config.env, **self._values(self._extra), "STACK_FILE": str(file)}
            done = self.copy.call(DEPLOY, values)
            if done.status != 0:
                raise NotVerified(f"the service {name} cannot be deployed alone: {done.tail(3)}")

    def _stop_service(self, name: str) -> None:
        self._scale(name, 0)
        wait_for(lambda: self.containers.live(name), lambda live: not live, deadline_s=LONGEST_GRACE_S)

    def _scale(self, name: str, tasks: int) -> Finished:
        return self.copy.call(
            f"docker service scale --detach {self._project}_{name}={tasks}", self._values(self._extra)
        )

    def _build(self, image: str, extra: Mapping[str, str]) -> Finished:
        values = {**self.config.env, **self._values(extra)}
        text = (self.copy.root / "Dockerfile").read_text(encoding="utf-8")
        arguments = {name for name in re.findall(r"^ARG (\w+)", text, re.MULTILINE) if name in values}
        options = "".join(f" --build-arg {name}" for name in sorted(arguments))
        return self.copy.call(f"docker build --tag {image}{options} .", values, timeout_s=BUILD_TIMEOUT_S)

    @property
    def _command(self) -> str:
        return self.config.start or DEPLOY

    @property
    def _log_commands(self) -> list[str]:
        return [
            f"docker service logs --follow --raw {self._project}_{name}" for name in self._services.by_name
        ]

    def _wait_for_containers(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the services only: the start command may wait until they are healthy."""
        services = self._services.by_name
        wait_for(
            lambda: process.poll() is not None or self.containers.are_known(*services),
            bool,
            deadline_s=BUILD_TIMEOUT_S,
        )

    def call(
        self, command: str, extra: Mapping[str, str] | None = None, *, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> Finished:
        """Run one of the project's commands; what it deploys is the image of what the copy holds now."""
        self._prepare({**self._extra, **(extra or {})})
        return super().call(command, extra, timeout_s=timeout_s)

    def bring_release(self) -> None:
        """Let the app's tasks run what the copy holds now, whether they become healthy or not."""
        image = self._prepare(self._extra)
        self.copy.call(
            f"docker service update --detach --no-resolve-image --image {image} --update-order stop-first "
            f"--update-failure-action continue {self._project}_{self.containers.app}",
            self._values(self._extra),
        )

    def end(self) -> None:
        """SIGKILL everything."""
        self.containers.end(*self._services.by_name)
        super().end()

    def stop_app(self) -> None:
        """Stop the app's tasks."""
        name = self.containers.app
        self._scale(name, 0)
        wait_for(lambda: self.containers.live(name), lambda live: not live, deadline_s=self.stop_grace_s + 30)

    def start_app(self) -> None:
        """Deploy the stack again, with all the tasks that the file says."""
        self.prepare(self._extra)
        self.copy.spawn(self._command, self._values(self._extra))
