"""Workers that live but do not work: one is stopped, the event loop of another is blocked."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pytest_deploycheck.charts import BarChart
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.probes.in_flight import InFlight
from pytest_deploycheck.probes.processes import Processes, alive, kill
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.workshop import Workshop

SIGSTOP = 19
MARGIN_S = 8.0


@dataclass(frozen=True, kw_only=True)
class Hung:
    """Workers hung.

    Attributes:
        stack: the stack it happened to.
        steps: what was done.
        gone_s: by act, seconds until the worker was gone; None = not in time.
        before, after: the app's processes.
        recovered: whether as many workers as before served in the end.
    """

    stack: Stack
    steps: tuple[str, ...]
    gone_s: dict[str, float | None]
    before: Processes
    after: Processes
    recovered: bool

    @property
    def charts(self) -> list[BarChart]:
        """How long each of them was there."""
        bars = {act: {"there": round(gone_s, 1)} for act, gone_s in self.gone_s.items() if gone_s is not None}
        limit_s, name = (
            self.stack.config.hang_timeout_s + MARGIN_S,
            f"hang_timeout_s and {MARGIN_S:.0f} s more,",
        )
        title = "how long a worker that hangs is there"
        chart = BarChart(title=title, unit="s", bars=bars, limit=limit_s, limit_name=name)
        return [chart] if bars else []


@lane(Lane.HANGS)
def hang_workers(workshop: Workshop) -> Hung:
    """Block the event loop of one worker, send SIGSTOP to another, and wait; with one worker one after the other."""
    stack, patience_s = workshop.for_hangs.steady(), workshop.for_hangs.patience_s
    count = stack.config.workers
    deadline_s = stack.config.hang_timeout_s + MARGIN_S

    def workers() -> frozenset[int]:
        return wait_for(stack.processes, lambda now: len(now.workers) >= count, deadline_s=patience_s).workers

    workers()
    before = stack.processes()
    began, victims = time.monotonic(), {}
    block = InFlight(stack, "block", f"seconds={deadline_s + 5}", method="POST", timeout_s=deadline_s)
    blocked = block.worker
    victims["a blocked event loop"] = blocked
    if others := before.workers - {blocked}:
        victims["SIGSTOP"] = min(others)
        kill({victims["SIGSTOP"]}, SIGSTOP)
    gone_s = _watch(victims, began, deadline_s)
    # Where nobody replaces the one, the other would be the same process.
    if "SIGSTOP" not in victims and None not in gone_s.values() and (new := workers()):
        began, victims["SIGSTOP"] = time.monotonic(), min(new)
        kill(new, SIGSTOP)
        gone_s |= _watch({"SIGSTOP": min(new)}, began, deadline_s)
    kill(victims.values())  # those that nobody has ended
    recovered = len(workers()) >= len(before.workers) and None not in gone_s.values()
    return Hung(
        stack=stack,
        steps=tuple(f"{act} in worker {pid}" for act, pid in victims.items()),
        gone_s=gone_s,
        before=before,
        after=stack.processes(),
        recovered=recovered,
    )


def _watch(victims: dict[str, int], began: float, deadline_s: float) -> dict[str, float | None]:
    """Return how long each process lived, None for longer than the deadline."""
    gone: dict[str, float | None] = dict.fromkeys(victims)

    def look() -> bool:
        living = alive(victims.values())
        for act, pid in victims.items():
            if gone[act] is None and pid not in living:
                gone[act] = time.monotonic() - began
        return not living

    wait_for(look, bool, deadline_s=deadline_s, every_s=0.25)
    return gone
