"""What the engine says of the containers of one Compose project."""

from __future__ import annotations

import shlex
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pytest_deploycheck.sandbox.engine import Container, Engine

ENDED = ("exited", "dead")
# As `docker ps` shows identities.
SHORT = 12


@dataclass(frozen=True, kw_only=True)
class Containers:
    """The containers of a project.

    Attributes:
        engine: who runs them.
        project: the name of the Compose project.
        app, proxy: the names of these services.
        before: which have ended, and when, before what is looked at now began.
        KEPT: the policies by which the engine starts them again when it starts itself.
    """

    # https://docs.docker.com/engine/containers/start-containers-automatically/
    KEPT: ClassVar = ("always", "unless-stopped")

    engine: Engine
    project: str
    app: str
    proxy: str
    before: frozenset[tuple[str, str]] = frozenset()

    def of(self, *services: str) -> list[Container]:
        """Return the containers of some services, or all."""
        found = self.engine.containers(self.project)
        return [one for one in found if not services or one.service in services]

    def pids(self, service: str) -> frozenset[int]:
        """Return the first processes of a service's containers."""
        return frozenset(one.pid for one in self.of(service) if one.status == "running" and one.pid)

    def published(self) -> set[tuple[str, int]]:
        """Return host and port of each address where the engine takes connections for the app."""
        return {place for one in self.of(self.app) for place in one.published}

    def are_running(self) -> bool:
        """Tell whether app and proxy run, and none of them is unhealthy, or not known to be healthy yet."""
        found = self.of(self.app, self.proxy)
        return {one.service for one in found} == {self.app, self.proxy} and all(
            one.status == "running" and one.health in {"", "healthy"} for one in found
        )

    def ends(self) -> frozenset[tuple[str, str]]:
        """Return which containers have ended, and when."""
        return frozenset((one.identity, one.ended) for one in self.of() if one.status in ENDED)

    def have_failed(self) -> bool:
        """Tell whether a container of the app has ended, or one that it waits for ended with an error."""
        return any(
            one.status in (*ENDED, "restarting") and (one.service == self.app or one.exit_status != 0)
            for one in self.of()
            if one.service != self.proxy and (one.identity, one.ended) not in self.before
        )

    def have_given_up(self) -> bool:
        """Tell whether a container has ended for good that should run, or one failed that the app waits for."""
        return any(
            one.status in ENDED and (one.exit_status != 0 or one.service in {self.app, self.proxy})
            for one in self.of()
            if (one.identity, one.ended) not in self.before
        )

    def got_signals(self, since: float) -> bool:
        """Tell whether each running container of the app got a signal since then (``time.monotonic()``)."""
        told = self.engine.signalled(time.time() - (time.monotonic() - since))
        return all(one.identity in told for one in self.of(self.app) if one.status == "running")

    def health_check(self) -> str | None:
        """Return the command that asks the app what the engine asks it; None if the engine does not ask."""
        one = next(iter(self.of(self.app)), None)
        if not one or not one.health_test:
            return None
        return f"docker exec {one.identity[:SHORT]} {shlex.join(one.health_test)}"

    def policies(self) -> dict[str, str]:
        """Return the restart policy of each service that runs now."""
        return {
            one.service: one.restart for one in self.of() if one.status == "running" and not one.is_for_once
        }

    def forgotten(self) -> list[str]:
        """Return the services that the engine does not start again by itself when it starts, each with the reason."""
        policies = self.policies()
        absent = [f"{name} (it does not run)" for name in (self.app, self.proxy) if name not in policies]
        lost = [f"{name} (restart: {policy})" for name, policy in policies.items() if policy not in self.KEPT]
        return [*absent, *lost]

    def last_words(self, lines: int) -> str:
        """Return the last lines of what has ended with an error."""
        failed = (one for one in self.of() if one.status in (*ENDED, "restarting") and one.exit_status != 0)
        return "".join(self.engine.log(one, lines) for one in failed)

    def log_folders(self) -> list[Path]:
        """Return where the engine keeps what the containers say."""
        return [one.log_file.parent for one in self.of() if one.log_file]

    def describe(self) -> str:
        """Return the states of all containers."""
        return "; ".join(map(str, self.of())) or "there are no containers"

    def kill(self) -> None:
        """SIGKILL all processes of all containers. What was killed on request the engine does not start again."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(self.engine.kill, self.of()))
