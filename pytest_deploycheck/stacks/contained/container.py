"""How a command is run as in a container: PID 1 on a read-only disk with a limit of memory, where this machine can."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path

from pytest_deploycheck.sandbox.run import ProjectCopy

# A group cannot be removed as long as the last of its processes is not quite gone.
REMOVE = 'for _ in $(seq 50); do rmdir "$0" 2>/dev/null && exit; sleep 0.1; done'
CGROUPS = Path("/sys/fs/cgroup")
# What stays writable: the folder of the run, for the probe writes there. The environment file is on no platform.
ENTER = """
mount --bind "$1" "$1"
mkdir -p "$3" && mount --rbind /proc "$3"
mount -t proc proc /proc
[ ! -f "$4" ] || mount --bind /dev/null "$4"
if [ "$5" = ro ]; then
    mount --rbind "$2" "$2"
    # nosuid and nodev, for a user may not take them from a mount that has them.
    mount -o remount,bind,ro,nosuid,nodev "$2"
    mount -o remount,bind,ro,nosuid,nodev /
fi
cd "$2"
shift 5
exec "$@"
"""


@lru_cache(maxsize=1)
def needs() -> str | None:
    """Return what is missing to have namespaces, None if they can be had; users may have their own."""
    if not shutil.which("unshare"):
        return "unshare (Debian: apt-get install util-linux)"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        done = subprocess.run(
            _entered(folder, folder, folder / "proc", folder / ".env", ["true"]),
            capture_output=True,
            check=False,
        )
    return "root, or namespaces for users (user.max_user_namespaces)" if done.returncode else None


def wrapped(copy: ProjectCopy, command: list[str], *, read_only: bool) -> list[str]:
    """Return the words that run a command as the first process of namespaces of its own."""
    env_file = copy.root / copy.run.config.env_file
    return _entered(
        copy.run.folder, copy.root, proc_of(copy), env_file, command, mode="ro" if read_only else "rw"
    )


def _entered(
    folder: Path, root: Path, proc: Path, env_file: Path, command: list[str], *, mode: str = "ro"
) -> list[str]:
    own = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    words = ["unshare", *own, "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", ENTER, "container"]
    return [*words, *map(str, (folder, root, proc, env_file)), mode, *command]


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
            copy.run.at_the_end("sh", "-c", REMOVE, str(group))
            (group / limit).write_text(str(limit_mb << 20))
        except OSError:
            continue
        with contextlib.suppress(OSError):  # the kernel may account for no swap
            (group / swap).write_text(no_swap)
        return group
    return None
