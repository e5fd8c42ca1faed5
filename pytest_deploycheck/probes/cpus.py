"""How many CPUs a process may use, as the kernel gives them: by its affinity, and by the quota of its control group."""

from __future__ import annotations

import contextlib
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

from pytest_deploycheck.probes import kernel

CGROUPS = Path("/sys/fs/cgroup")
GROUPS = "/proc/{pid}/cgroup"
ONLINE = "/sys/devices/system/cpu/online"


def cpus(pid: int | None = None) -> float:
    """Return how many CPUs a process may use; a quota may give a part of one. This process by default.

    Raises:
        FileNotFoundError, ProcessLookupError: the process is gone.
    """
    return min([float(len(affinity(pid))), *_quotas(pid or os.getpid())])


def affinity(pid: int | None = None) -> set[int]:
    """Return the numbers of the CPUs on which a process may run."""
    pid = pid or os.getpid()
    allowed = re.search(r"^Cpus_allowed_list:\s*(\S+)", kernel.read(pid, "/proc/{pid}/status"), re.MULTILINE)
    # Those too that the machine might have, and has not.
    return _numbers(allowed[1] if allowed else "0") & _numbers(kernel.read(pid, ONLINE))


def workers_that_fit(pid: int | None = None) -> int:
    """Return what ``auto`` means as a number of workers: one for each CPU, and one for a part of one."""
    return max(1, math.ceil(cpus(pid)))


def _quotas(pid: int) -> Iterator[float]:
    """Yield the quota of each control group around the process that has one, in CPUs.

    A container sees its own group as the root, so the groups above the path that the kernel names are asked too.
    """
    for line in kernel.read(pid, GROUPS).splitlines():
        _, controllers, path = line.split(":", 2)
        for folder in (path, *map(str, Path(path).parents)):
            if not controllers:  # version 2: "max 100000" or "150000 100000"
                quota, _, period = _text(pid, CGROUPS / folder.lstrip("/") / "cpu.max").partition(" ")
            elif "cpu" in controllers.split(","):
                group = CGROUPS / controllers / folder.lstrip("/")
                quota, period = (_text(pid, group / f"cpu.cfs_{what}_us") for what in ("quota", "period"))
            else:
                continue
            if quota.isdecimal() and period.isdecimal():  # without a quota: "max", or -1
                yield int(quota) / int(period)


def _text(pid: int, file: Path) -> str:
    with contextlib.suppress(OSError):
        return kernel.read(pid, str(file)).strip()
    return ""


def _numbers(text: str) -> set[int]:
    """Return what a list such as ``0-2,5`` holds."""
    found: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found
