"""Signals that the probe inside the app's processes obeys."""

from __future__ import annotations

import time
from collections.abc import Set as AbstractSet

from pytest_deploycheck.probes.events import Events
from pytest_deploycheck.probes.processes import alive, kill
from pytest_deploycheck.probes.wait import wait_for


def obey(pids: AbstractSet[int], number: int, done: str, events: Events, *, deadline_s: float) -> None:
    """Send a signal and wait until each process that still lives has recorded the event ``done``, or a deadline."""
    since = time.monotonic()
    kill(pids, number)
    wait_for(
        lambda: events.pids(done, since=since),
        lambda obeyed: obeyed >= alive(pids),
        deadline_s=deadline_s,
        every_s=0.02,
    )
