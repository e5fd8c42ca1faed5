"""The limit of memory that the kernel keeps for processes, whoever has set it."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
GROUPS = Path("/sys/fs/cgroup")
# Version 1 calls it a number when there is no limit.
NO_LIMIT = 1 << 62


def memory_limit(pids: Iterable[int], *, proc: Path = PROC, groups: Path = GROUPS) -> int | None:
    """Return the smallest limit of the control groups that all these processes are in, in bytes; None for no limit.

    https://man7.org/linux/man-pages/man7/cgroups.7.html
    """
    of_each = [_files_of(pid, proc, groups) for pid in pids]
    shared = set.intersection(*of_each) if of_each else set()
    found = []
    for file in shared:
        with contextlib.suppress(OSError, ValueError):  # "max" is no limit
            found.append(int(file.read_text(encoding="ascii")))
    return min((limit for limit in found if limit < NO_LIMIT), default=None)


def _files_of(pid: int, proc: Path, groups: Path) -> set[Path]:
    """Return the files with the limits of a process's group, and of all groups around it."""
    found: set[Path] = set()
    with contextlib.suppress(OSError):
        for line in (proc / str(pid) / "cgroup").read_text(encoding="utf-8").splitlines():
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
