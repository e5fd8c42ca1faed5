"""What the kernel says of a process, as the text of its files: here, or in the container where the process is.

https://man7.org/linux/man-pages/man5/proc.5.html
"""

from __future__ import annotations

import contextlib
import os
import re
from pathlib import Path

from pytest_deploycheck.probes import elsewhere

KIB = 1024
UNLIMITED = 2**31
# What reading of a process says that has ended: before the file is open, or after.
GONE = (FileNotFoundError, ProcessLookupError)
_TICKS = os.sysconf("SC_CLK_TCK")  # the kernel tells programs the same everywhere


def read(pid: int, path: str) -> str:
    """Return the text of a file where a process is; ``{pid}`` in its path is the number of the process there.

    Raises:
        FileNotFoundError, ProcessLookupError: the process is gone, or there is no such file.
        NotVerified: nobody may read it there.
    """
    if watcher := elsewhere.watcher_of(pid):
        return watcher.read(pid, path)
    return Path(path.replace("{pid}", str(pid))).read_text(encoding="utf-8", errors="replace")


def open_files(pid: int) -> list[str]:
    """Return what a process has open, such as ``/dev/null`` and ``socket:[4711]``.

    Raises:
        FileNotFoundError, ProcessLookupError: the process is gone.
        PermissionError, NotVerified: it belongs to somebody else.
    """
    if watcher := elsewhere.watcher_of(pid):
        return watcher.links(pid, "/proc/{pid}/fd")
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.append(str(link.readlink()))
    return found


def most_open_files(pid: int) -> int:
    """Return how many files a process may have open: its soft limit, a large number where it has none."""
    found = re.search(r"^Max open files +(\d+)", read(pid, "/proc/{pid}/limits"), re.MULTILINE)
    return int(found[1]) if found else UNLIMITED


def cpu_seconds(pid: int) -> float:
    """Return user and system time that a process has used, in seconds."""
    fields = read(pid, "/proc/{pid}/stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def waited_seconds(pid: int) -> float:
    """Return how long the main thread of a process has waited for a CPU, in seconds."""
    return int(read(pid, "/proc/{pid}/schedstat").split()[1]) / 1e9


def sizes(pid: int) -> dict[str, int]:
    """Return the kinds of memory that a process has, such as ``Rss`` and ``Pss``, in bytes."""
    text = read(pid, "/proc/{pid}/smaps_rollup")
    return {name: int(size) * KIB for name, size in re.findall(r"^(\w+): +(\d+) kB$", text, re.MULTILINE)}


def idle_seconds(pid: int, numbers: set[int]) -> float:
    """Return for how long some CPUs have had nothing to do, by their numbers, since the machine of a process started.

    Seconds of all of them are added up.
    """
    total = 0
    for line in read(pid, "/proc/stat").splitlines():
        if (found := re.match(r"cpu(\d+) ", line)) and int(found[1]) in numbers:
            idle, waiting_for_disk = line.split()[4:6]
            total += int(idle) + int(waiting_for_disk)
    return total / _TICKS


def machine(pid: int) -> str:
    """Return what no two machines have alike, however many containers they have."""
    return read(pid, "/proc/sys/kernel/random/boot_id").strip()
