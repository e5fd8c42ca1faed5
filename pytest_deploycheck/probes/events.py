"""What the probe inside the app's processes has written down."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SHUT_DOWN = "lifespan.shutdown.complete"


@dataclass(frozen=True)
class Event:
    """One event.

    Attributes:
        t: ``time.monotonic()``, which is the same clock for all processes of a machine on Linux.
        name: ``worker`` (a process that serves the app is up), ``request`` (its first real request),
            ``lifespan.*`` (the messages of the ASGI specification), ``upgrade.begin``, ``upgrade.end``, ``revision``,
            ``gate`` (an upgrade has read the database's revision and waits),
            ``reloader`` (something watches the source files).
    """

    t: float
    pid: int
    name: str
    data: dict[str, Any]


@dataclass(frozen=True)
class Events:
    """The event file of one project copy."""

    file: Path

    def named(self, name: str, *, since: float = 0.0, until: float = float("inf")) -> list[Event]:
        """Return the events of one name in the order of their time, from one up to another (``time.monotonic()``)."""
        if not self.file.exists():
            return []
        complete, _, _ = self.file.read_text(encoding="utf-8").rpartition("\n")
        lines = [line for line in complete.splitlines() if name in line]  # to parse all would take longer
        records = [json.loads(line) for line in lines]
        events = [Event(record.pop("t"), record.pop("pid"), record.pop("name"), record) for record in records]
        found = [event for event in events if event.name == name and since <= event.t <= until]
        return sorted(found, key=lambda event: event.t)

    def pids(self, name: str, *, since: float = 0.0) -> frozenset[int]:
        """Return the processes that had an event of one name, from a time (``time.monotonic()``) on."""
        return frozenset(event.pid for event in self.named(name, since=since))
