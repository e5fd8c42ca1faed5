"""Processes of other machines: each has a number that no process of this machine can have, and somebody who sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

# The kernel's own limit for pids: https://man7.org/linux/man-pages/man5/proc_sys_kernel.5.html, pid_max.
MOST_HERE = 1 << 22


class Watcher(Protocol):
    """Who sees processes of another machine."""

    def knows(self, number: int) -> bool:
        """Tell whether this one sees, or has seen, the process."""

    def lives(self, number: int) -> bool:
        """Tell whether it runs now."""

    def signal(self, number: int, signal: int) -> None:
        """Send it a signal.

        Raises:
            ProcessLookupError: it is gone.
            NotVerified: nothing reaches it.
        """

    def command_line(self, number: int) -> str:
        """Return its command line, empty if it is gone."""

    def place(self, number: int) -> str:
        """Return the name of the container that it is in."""

    def read(self, number: int, path: str) -> str:
        """Return the text of a file there; see ``kernel.read``."""

    def links(self, number: int, folder: str) -> list[str]:
        """Return where the links in a folder there lead; see ``kernel.open_files``."""


_WATCHERS: list[Watcher] = []


def watch(watcher: Watcher) -> None:
    """Let processes be asked of this one."""
    _WATCHERS.append(watcher)


def watcher_of(number: int) -> Watcher | None:
    """Return who sees a process; None for one of this machine, and where nobody does."""
    if number <= MOST_HERE:
        return None
    return next((watcher for watcher in _WATCHERS if watcher.knows(number)), None)


def split(pids: Iterable[int]) -> tuple[set[int], set[int]]:
    """Return the processes of this machine, and those of others."""
    found = set(pids)
    here = {pid for pid in found if pid <= MOST_HERE}
    return here, found - here


def by_place(pids: Iterable[int]) -> list[frozenset[int]]:
    """Return processes by where they are: those of this machine, and those of each container elsewhere.

    Control groups bound them together there, and neither the others.
    """
    found: dict[str, set[int]] = {}
    for pid in pids:
        watcher = watcher_of(pid)
        found.setdefault(watcher.place(pid) if watcher else "", set()).add(pid)
    return [frozenset(group) for _, group in sorted(found.items())]
