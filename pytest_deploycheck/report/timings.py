"""Where the time of a run goes: wall time, CPU time, the background lanes, and what is slowest."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_deploycheck.outcome import Result
    from pytest_deploycheck.workshop import Workshop

MOST = 4


class Clock:
    """Measures from its making on, in the process that runs the checks."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._cpu_s = _cpu_s()

    @property
    def wall_s(self) -> float:
        """The time since then, in seconds."""
        return time.monotonic() - self._began

    def read(self, workshop: Workshop) -> dict[str, object]:
        """Return the ``timings`` of ``report.json``.

        Call it when nothing runs any more: the kernel adds a process to its parent's account when it is reaped.
        """
        wall_s = self.wall_s
        cpu_s = _cpu_s() - self._cpu_s + workshop.orphaned_cpu_s
        cores = len(os.sched_getaffinity(0))
        start = workshop.gentle.start_so_far
        return {
            "wall_s": round(wall_s, 3),
            "cold_start_s": round(start.ready_s, 3) if start and start.ready_s else None,
            "cpu_s": round(cpu_s, 3),
            "cores": cores,
            "cpu_share": round(cpu_s / (cores * wall_s), 3),
            "lanes": {
                lane.name.lower(): round(sum(thread.busy_s.values()), 3)
                for lane, thread in workshop.lanes.items()
                if thread.busy_s
            },
            "experiments": {
                name: round(spent_s, 3)
                for thread in workshop.lanes.values()
                for name, spent_s in thread.busy_s.items()
            },
        }


def _cpu_s() -> float:
    """Return the user and system time of this process and of those of its descendants that were waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def lines(timings: Mapping[str, object], results: list[Result]) -> list[str]:
    """Say it in a few lines."""
    cold_s, share, lanes = timings["cold_start_s"], timings["cpu_share"], timings["lanes"]
    experiments = timings["experiments"]
    assert isinstance(share, float)
    assert isinstance(lanes, Mapping)
    assert isinstance(experiments, Mapping)
    checks = {result.id: result.duration_s for result in results}
    told = [
        ("time", f"{timings['wall_s']:.1f} s" + (f", cold start {cold_s:.1f} s" if cold_s else "")),
        ("CPU time", f"{timings['cpu_s']:.1f} s, {share:.0%} of {timings['cores']} cores"),
        ("background lanes", _list(lanes, len(lanes))),
        ("slowest experiments", _list(experiments, MOST)),
        ("slowest checks", _list(checks, MOST)),
    ]
    return [f"{label:<20} {text}" for label, text in told if text]


def _list(spent: Mapping[str, float], most: int) -> str:
    slowest = sorted(spent.items(), key=lambda item: -item[1])[:most]
    return ", ".join(f"{name} {spent_s:.1f} s" for name, spent_s in slowest)
