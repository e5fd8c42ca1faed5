"""The volume with the logs is full: each write to a log fails as the kernel makes it fail, then there is room again.

No root and no volume of its own is needed. ``/dev/full`` answers each write with "No space left on device". What the
processes have open is exchanged for it by the probe inside them, beneath their own file objects, and given back later;
the paths lead to it too.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import psutil

from pytest_deploycheck.probes.inside.deploycheck_mark import DISK_SIGNAL
from pytest_deploycheck.probes.signals import obey
from pytest_deploycheck.stacks.protocol import Stack

FULL = Path("/dev/full")
DEADLINE_S = 5.0


@contextlib.contextmanager
def full_volume(stack: Stack, logs: Iterable[Path]) -> Iterator[None]:
    """Let the folders of some log files be on a full volume for the length of a ``with`` block.

    Files that somebody both reads and writes are no logs but data: they are left alone.
    """
    folders = sorted({file.parent for file in logs})
    data = _data_files(stack)
    files = [file for folder in folders for file in folder.iterdir() if file.is_file() and file not in data]
    order = stack.copy.events.file.with_suffix(".full")
    order.write_text("\n".join(map(str, folders)), encoding="utf-8")
    try:
        _tell(stack)
        for file in files:
            file.rename(_aside(stack, file))
            file.symlink_to(FULL)
        yield
    finally:
        for file in files:
            file.unlink(missing_ok=True)
            _aside(stack, file).rename(file)
        order.unlink()
        _tell(stack)


def _aside(stack: Stack, file: Path) -> Path:
    folder = stack.copy.root.with_suffix(".aside")
    folder.mkdir(exist_ok=True)
    return folder / f"{abs(hash(file.parent)):x}-{file.name}"


def _tell(stack: Stack) -> None:
    """Let each process that has the probe look at the order; wait until all of them have."""
    pids = {pid for pid in stack.copy.pids() - stack.proxy_pids() if _catches(pid, DISK_SIGNAL)}
    obey(pids, DISK_SIGNAL, "disk", stack.copy.events, deadline_s=DEADLINE_S)


def _catches(pid: int, number: int) -> bool:
    """Tell whether a process handles a signal; one that does not would be ended by it."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("SigCgt:"):
                return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def _data_files(stack: Stack) -> set[Path]:
    found = set()
    for pid in stack.copy.pids():
        with contextlib.suppress(psutil.Error):
            found |= {
                Path(file.path)
                for file in psutil.Process(pid).open_files()
                if file.flags & os.O_ACCMODE == os.O_RDWR
            }
    return found
