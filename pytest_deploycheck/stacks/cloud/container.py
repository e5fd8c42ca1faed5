"""How a command is run as in a container: PID 1 on a read-only disk with a limit of memory, where this machine can."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

from pytest_deploycheck.sandbox.run import ProjectCopy

CGROUPS = Path("/sys/fs/cgroup")
# What stays writable: the folder of the run, for the probe writes there. The environment file is on no platform.
ENTER = """
mount --bind "$1" "$1"
mkdir -p "$3" && mount --rbind /proc "$3"
mount -t proc proc /proc
[ ! -f "$4" ] || mount --bind /dev/null "$4"
[ "$5" = rw ] || { mount --rbind "$2" "$2"; mount -o remount,bind,ro "$2"; mount -o remount,bind,ro /; }
cd "$2"
shift 5
exec "$@"
"""


def needs() -> str | None:
    """Return what is missing to have namespaces, None if they can be had."""
    if os.geteuid() != 0:
        return "root"
    if not shutil.which("unshare"):
        return "unshare (Debian: apt-get install util-linux)"
    try_it = ["unshare", "--mount", "--pid", "--fork", "mount", "-t", "proc", "proc", "/proc"]
    done = subprocess.run(try_it, capture_output=True, check=False)
    return "the right to make namespaces" if done.returncode else None


def wrapped(copy: ProjectCopy, command: list[str], *, read_only: bool) -> list[str]:
    """Return the words that run a command as the first process of namespaces of its own."""
    here = [
        str(copy.run.folder),
        str(copy.root),
        str(proc_of(copy)),
        str(copy.root / copy.run.config.env_file),
        "ro" if read_only else "rw",
    ]
    options = ["--mount", "--pid", "--fork", "--kill-child"]
    return ["unshare", *options, "sh", "-euc", ENTER, "container", *here, *command]


def proc_of(copy: ProjectCopy) -> Path:
    """Return where this machine's own /proc is to be seen inside."""
    return copy.root.with_suffix(".proc")


def memory_group(copy: ProjectCopy, limit_mb: int) -> Path | None:
    """Make a control group with a limit of memory and no swap; None where this machine lets nobody make one.

    It is removed at the end of the run. https://docs.kernel.org/admin-guide/cgroup-v2.html
    """
    versions = (
        (CGROUPS, "memory.max", "memory.swap.max", "0"),
        (CGROUPS / "memory", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", str(limit_mb << 20)),
    )
    for above, limit, swap, no_swap in versions:
        group = above / f"{copy.run.folder.name}-{copy.root.name}"
        try:
            if not (above / "cgroup.procs").exists():
                continue
            group.mkdir()
            copy.run.at_the_end("rmdir", str(group))
            (group / limit).write_text(str(limit_mb << 20))
        except OSError:
            continue
        with contextlib.suppress(OSError):  # the kernel may account for no swap
            (group / swap).write_text(no_swap)
        return group
    return None
