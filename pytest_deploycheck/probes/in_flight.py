"""One request that is under way while something happens to the stack."""

from __future__ import annotations

import threading
import time
from contextlib import closing

from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.probes.events import Event
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.probes.line import TIMEOUT_S
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.stacks.protocol import Stack

BEGIN_DEADLINE_S = 5.0


class InFlight:
    """A request to the probe inside the app, sent in a thread; the worker that got it has begun with it."""

    def __init__(
        self,
        stack: Stack,
        action: str,
        query: str,
        *,
        method: str = "GET",
        timeout_s: float = TIMEOUT_S,
        begin_deadline_s: float = BEGIN_DEADLINE_S,
    ) -> None:
        """Send it, and wait until a worker has begun with it.

        Args:
            stack: where to.
            action: what the probe does (``deploycheck_actions``); its events have the same name.
            query: the action's values, such as ``seconds=1``.
            method: of HTTP.
            timeout_s: how long the client waits for each part of the answer, in seconds.
            begin_deadline_s: how long to wait for a worker to begin, in seconds.
        """
        self.stack = stack
        self.action = action
        self._path = f"{MARK}{action}?{query}"
        self._method, self._timeout_s = method, timeout_s
        self._answers: list[Answer] = []
        self.sent_at = time.monotonic()
        self._thread = threading.Thread(target=self._send, name=action, daemon=True)
        self._thread.start()
        wait_for(self.events, bool, deadline_s=begin_deadline_s, every_s=0.05)

    def _send(self) -> None:
        with closing(self.stack.entry.line(timeout_s=self._timeout_s)) as line:
            self._answers.append(line.send_to(self._method, self._path))

    def events(self, outcome: str = "") -> list[Event]:
        """Return the action's events since it was sent; those of an ``outcome`` are named ``action.outcome``."""
        name = f"{self.action}.{outcome}" if outcome else self.action
        return self.stack.copy.events.named(name, since=self.sent_at)

    @property
    def worker(self) -> int:
        """The pid of the worker that got it; 0 if none has begun with it."""
        return next((event.pid for event in self.events()), 0)

    def answer(self) -> Answer:
        """Wait for the end of the request."""
        self._thread.join()
        return self._answers[0]
