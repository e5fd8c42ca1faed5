"""What engine and swarm say of the containers of one stack."""

from __future__ import annotations

import time

from pytest_deploycheck.sandbox.engine import SWARM, Container
from pytest_deploycheck.stacks.compose.containers import ENDED, Containers

GONE_DEADLINE_S = 15.0


class Tasks(Containers):
    """The containers of a stack. Swarm starts none again: it makes new ones, and keeps some that have ended."""

    # With "none", what an engine ran is gone when it starts again: seen with Docker 28.5, after a stop in order.
    KEPT = ("any", "on-failure")

    def of(self, *services: str) -> list[Container]:
        """Return the containers of some services, or all; of those that have ended only what has no successor."""
        everything = self.engine.containers(self.project, SWARM)
        found = []
        for service in sorted({one.service for one in everything}):
            mine = sorted((one for one in everything if one.service == service), key=lambda one: one.created)
            if not services or service in services:
                found += [one for one in mine if one.status not in ENDED] or mine[-1:]
        return found

    def have_failed(self) -> bool:
        """Tell whether a container of the app has ended, also if another one was made since."""
        found = self.engine.containers(self.project, SWARM)
        ended = (one for one in found if one.service == self.app and one.status in ENDED)
        return any((one.identity, one.ended) not in self.before for one in ended)

    def ends(self) -> frozenset[tuple[str, str]]:
        """Return which containers have ended, and when, also those that have a successor."""
        found = self.engine.containers(self.project, SWARM)
        return frozenset((one.identity, one.ended) for one in found if one.status in ENDED)

    def have_given_up(self) -> bool:
        """Tell whether app or proxy have tasks, and the swarm wants none of them to run any more."""
        return any(
            bool(tasks) and all(task["DesiredState"] in {"shutdown", "remove"} for task in tasks)
            for tasks in (self.engine.tasks(f"{self.project}_{name}") for name in (self.app, self.proxy))
        )

    def are_known(self, *services: str) -> bool:
        """Tell whether the swarm has tasks of each of these services."""
        return all(self.engine.tasks(f"{self.project}_{name}") for name in services)

    def policies(self) -> dict[str, str]:
        """Return of each service that runs now when the swarm makes a new task for one that has ended."""
        names = sorted({one.service for one in self.live()})
        return {name: self.engine.restart_condition(f"{self.project}_{name}") for name in names}

    def published(self) -> set[tuple[str, int]]:
        """Return host and port of each address where engine or routing mesh take connections for the app."""
        return super().published() | self.engine.published_by_all(f"{self.project}_{self.app}")

    def describe(self) -> str:
        """Return the states of all containers, and why tasks never had one."""
        tasks = [
            task for name in (self.app, self.proxy) for task in self.engine.tasks(f"{self.project}_{name}")
        ]
        errors = {task["Status"].get("Err") for task in tasks if task["Status"]["State"] == "rejected"}
        return "; ".join([super().describe(), *sorted(filter(None, errors))])

    def end(self, *services: str) -> None:
        """SIGKILL all processes of all containers, and let the swarm forget its services: it starts nothing again."""
        self.kill()
        for name in services:
            self.engine.remove_service(f"{self.project}_{name}")
        # A container may just have been on its way.
        deadline = time.monotonic() + GONE_DEADLINE_S
        while self.live() and time.monotonic() < deadline:
            self.kill()
            time.sleep(0.05)

    def live(self, *services: str) -> list[Container]:
        """Return the containers that have not ended."""
        return [one for one in self.of(*services) if one.status not in ENDED]
