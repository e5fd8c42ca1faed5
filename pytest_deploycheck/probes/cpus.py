"""How many CPUs a process may use, as the kernel gives them: by its affinity, and by the quota of its control group."""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
GROUPS = "/proc/{pid}/cgroup"


def cpus(pid: int | None = None) -> float:
    """Return how many CPUs a process may use; a quota may give a part of one. This process by default.

    Raises:
        psutil.Error: the process is gone.
    """
    return min([float(len(affinity(pid))), *_quotas(pid or os.getpid())])


def affinity(pid: int | None = None) -> list[int]:
    """Return the numbers of the CPUs on which a process may run."""
    found: list[int] = psutil.Process(pid).cpu_affinity()
    return found


def workers_that_fit(pid: int | None = None) -> int:
    """Return what ``auto`` means as a number of workers: one for each CPU, and one for a part of one."""
    return max(1, math.ceil(cpus(pid)))


def _quotas(pid: int) -> Iterator[float]:
    """Yield the quota of each control group around the process that has one, in CPUs.

    A container sees its own group as the root, so the groups above the path that the kernel names are asked too.
    """
    for line in Path(GROUPS.format(pid=pid)).read_text(encoding="utf-8").splitlines():
        _, controllers, path = line.split(":", 2)
        for folder in (path, *map(str, Path(path).parents)):
            if not controllers:  # version 2: "max 100000" or "150000 100000"
                quota, _, period = _text(CGROUPS / folder.lstrip("/") / "cpu.max").partition(" ")
            elif "cpu" in controllers.split(","):
                group = CGROUPS / controllers / folder.lstrip("/")
                quota, period = _text(group / "cpu.cfs_quota_us"), _text(group / "cpu.cfs_period_us")
            else:
                continue
            if quota.isdecimal() and period.isdecimal():  # without a quota: "max", or -1
                yield int(quota) / int(period)


def _text(file: Path) -> str:
    with contextlib.suppress(OSError):
        return file.read_text(encoding="ascii").strip()
    return ""
