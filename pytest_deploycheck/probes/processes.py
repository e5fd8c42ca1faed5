"""Processes and their memory, as the kernel tells them."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from pytest_deploycheck.probes import elsewhere, kernel
from pytest_deploycheck.sandbox.guardian import parent_of

# Those that ran before this program looked first. They are below nothing that it starts, and most machines have
# hundreds of them: they are not looked at again.
_OLDER = set(psutil.pids())


@dataclass(frozen=True, kw_only=True)
class Processes:
    """The processes of the app at one moment.

    Attributes:
        manager: the process manager.
        servers: the manager's own children for the app: Gunicorn's master, or each Uvicorn.
        workers: the processes that serve requests.
        tree: ``servers`` and all their descendants.
    """

    manager: int
    servers: frozenset[int]
    workers: frozenset[int]
    tree: frozenset[int]


def alive(pids: Iterable[int]) -> frozenset[int]:
    """Return those of ``pids`` that run. A killed process is a zombie until its parent reaps it: that is not alive."""
    here, others = elsewhere.split(pids)
    found = {pid for pid in others if (watcher := elsewhere.watcher_of(pid)) and watcher.lives(pid)}
    for pid in here:
        with contextlib.suppress(psutil.Error):
            if psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                found.add(pid)
    return frozenset(found)


def with_descendants(pids: Iterable[int]) -> frozenset[int]:
    """Return the live ones of ``pids`` and all live processes below them that this program may have started."""
    found, now = set(pids), set(psutil.pids())
    _OLDER.intersection_update(now)  # the kernel may give the pid of one that is gone to another one
    parents = {pid: parent_of(pid) for pid in now - _OLDER}
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return alive(found)


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to each process that still exists."""
    for pid in pids:
        watcher = elsewhere.watcher_of(pid)
        with contextlib.suppress(ProcessLookupError):
            if watcher:
                watcher.signal(pid, number)
            elif pid <= elsewhere.MOST_HERE:
                os.kill(pid, number)


def command_line(pid: int) -> str:
    """Return the command line of a process, empty if it is gone."""
    if watcher := elsewhere.watcher_of(pid):
        return watcher.command_line(pid)
    with contextlib.suppress(psutil.Error):
        return " ".join(psutil.Process(pid).cmdline())
    return ""


def describe(pids: Iterable[int]) -> str:
    """Name processes for a message."""
    return ", ".join(f"pid {pid} ({command_line(pid)[:60] or 'gone'})" for pid in sorted(pids)) or "none"


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory of one process in bytes. ``pss`` counts each shared page by its share, so PSS may be added up."""

    pid: int
    rss: int
    pss: int
    uss: int


def memory(pid: int) -> Memory:
    """Measure one process.

    Raises:
        FileNotFoundError, ProcessLookupError: it is gone.
    """
    found = kernel.sizes(pid)
    own = sum(size for name, size in found.items() if name.startswith("Private_"))
    return Memory(pid=pid, rss=found["Rss"], pss=found["Pss"], uss=own)


def tree_cpu_seconds(pid: int) -> float:
    """Return what a process and the children that it waited for have used, in seconds; 0 if it is gone."""
    with contextlib.suppress(psutil.Error):
        times = psutil.Process(pid).cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0
