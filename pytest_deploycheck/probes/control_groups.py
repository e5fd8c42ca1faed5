"""The limit of memory that the kernel keeps for processes, whoever has set it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from pytest_deploycheck.probes import kernel
from pytest_deploycheck.probes.elsewhere import by_place

PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")
# Version 1 calls it a number when there is no limit.
NO_LIMIT = 1 << 62


def memory_limit(pids: Iterable[int], *, proc: Path = PROC, groups: Path = GROUPS) -> int | None:
    """Return the smallest limit of the control groups that all these processes are in, in bytes; None for no limit.

    Containers elsewhere have a limit each, and these are added up.
    https://man7.org/linux/man-pages/man7/cgroups.7.html
    """
    limits = [_shared(there, proc, groups) for there in by_place(pids)]
    known = [limit for limit in limits if limit is not None]
    return sum(known) if known and len(known) == len(limits) else None


def _shared(pids: frozenset[int], proc: Path, groups: Path) -> int | None:
    """Return the smallest limit of processes that are in one place."""
    files = set.intersection(*(_files_of(pid, proc, groups) for pid in pids))
    found = []
    for file in files:
        with contextlib.suppress(OSError, ValueError):  # "max" is no limit
            found.append(int(kernel.read(min(pids), str(file))))
    return min((limit for limit in found if limit < NO_LIMIT), default=None)


def _files_of(pid: int, proc: Path, groups: Path) -> set[Path]:
    """Return the files with the limits of a process's group, and of all groups around it."""
    found: set[Path] = set()
    with contextlib.suppress(OSError):
        for line in kernel.read(pid, str(proc / "{pid}" / "cgroup")).splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers and "memory" not in controllers.split(","):
                continue
            root, name = (
                (groups / "memory", "memory.limit_in_bytes") if controllers else (groups, "memory.max")
            )
            group = Path(os.path.normpath(root / path.lstrip("/")))
            around = (group, *group.parents) if group.is_relative_to(root) else ()
            found |= {folder / name for folder in around if folder.is_relative_to(root)}
    return found
