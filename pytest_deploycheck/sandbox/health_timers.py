"""Asks the health checks of podman's containers where systemd does not run, whose timers would ask them.

https://docs.podman.io/en/latest/markdown/podman-healthcheck-run.1.html: what a timer runs. Podman's state of a
container follows from it, as on a machine with systemd.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from pytest_deploycheck.sandbox.engine import Engine

LOOK_EVERY_S = 0.5


class HealthTimers:
    """The timers of one Compose project's containers, each a thread: checks can take as long as their timeouts."""

    def __init__(self, engine: Engine, project: str, is_over: Callable[[], bool]) -> None:
        """``is_over``: tells when nobody wants to know any more."""
        self._engine, self._project, self._is_over = engine, project, is_over
        self._asked: set[str] = set()

    def start(self) -> None:
        """Look for new containers from now on."""
        threading.Thread(target=self._look, name="health timers", daemon=True).start()

    def _look(self) -> None:
        while not self._is_over():
            for one in self._engine.containers(self._project):
                if one.health_test and one.identity not in self._asked:
                    self._asked.add(one.identity)
                    arguments = (one.identity, one.health_every_s)
                    threading.Thread(target=self._ask, args=arguments, daemon=True).start()
            time.sleep(LOOK_EVERY_S)

    def _ask(self, identity: str, every_s: float) -> None:
        """Ask at once, and again and again, as the timer does; until the container is removed."""
        while not self._is_over() and self._engine.knows(identity):
            self._engine.ask_health(identity)
            time.sleep(every_s)
