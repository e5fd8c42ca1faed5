"""How many CPUs this deployment may use: {{ {"supervisor": "`deploy/start`", "systemd": "`deploy/start`", "compose": "`deploy/serve`", "swarm": "`deploy/serve`", "kubernetes": "`deploy/serve`", "cloud": "`deploy/serve`"}[cookiecutter.process_manager] }} asks for WEB_CONCURRENCY=auto (REP006)."""

import math
import os
from collections.abc import Iterator
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
GROUPS = Path("/proc/self/cgroup")


def _quotas(groups: str) -> Iterator[float]:
    """Find the quotas of the control groups around this process, in CPUs. A container has one, and so has a service."""
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        for folder in (path, *map(str, Path(path).parents)):
            group = CGROUPS / controllers / folder.lstrip("/")
            if (group / "cpu.max").exists():  # "max 100000", or "150000 100000" for one and a half
                quota, period = (group / "cpu.max").read_text().split()
            elif (group / "cpu.cfs_quota_us").exists():  # version 1; -1 is no quota
                quota, period = ((group / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
            else:
                continue
            if quota.isdecimal():
                yield int(quota) / int(period)


def available() -> int:
    """Count the CPUs, a part of one as one; not those of the machine, of which a container has only some."""
    quotas = _quotas(GROUPS.read_text())
    return math.ceil(min([len(os.sched_getaffinity(0)), *quotas]))


if __name__ == "__main__":
    print(available())  # noqa: T201
