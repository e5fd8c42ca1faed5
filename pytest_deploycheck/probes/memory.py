"""Memory of the app's processes, as the kernel tells it, without what their neighbours do to the figures."""

from __future__ import annotations

import contextlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pytest_deploycheck.probes import kernel
from pytest_deploycheck.probes.events import Events
from pytest_deploycheck.probes.inside.deploycheck_mark import TIDY_SIGNAL
from pytest_deploycheck.probes.kernel import GONE, KIB
from pytest_deploycheck.probes.processes import Memory, memory
from pytest_deploycheck.probes.signals import obey

TIDY_DEADLINE_S = 3.0
MIB = 1024 * KIB
_MAPPING = re.compile(
    r"[0-9a-f]+-[0-9a-f]+ \S+ (?P<offset>[0-9a-f]+) (?P<device>\S+) (?P<inode>\d+)\s*(?P<path>.*)"
)


@dataclass(frozen=True, kw_only=True)
class Footprint:
    """What several processes occupy together.

    Attributes:
        processes: each of them; their ``uss`` is what one more of its kind would cost.
        total: all of them together, each page counted once, in bytes.
    """

    processes: tuple[Memory, ...]
    total: int

    @property
    def shared(self) -> int:
        """What is there once, however many processes use it."""
        return self.total - sum(process.uss for process in self.processes)

    def table(self, workers: Iterable[int]) -> list[dict[str, object]]:
        """Return a row for each process, in MiB."""
        return [
            {
                "pid": process.pid,
                "role": "worker" if process.pid in workers else "parent",
                "rss_mb": mib(process.rss),
                "pss_mb": mib(process.pss),
                "uss_mb": mib(process.uss),
            }
            for process in self.processes
        ]

    def describe(self) -> str:
        """Say it in one line."""
        own = ", ".join(f"pid {process.pid} {mib(process.uss)}" for process in self.processes)
        return f"{mib(self.total)} MiB: shared {mib(self.shared)}, own {own}"


def mib(size: float) -> float:
    """Return MiB with one decimal."""
    return round(size / MIB, 1)


def footprint(pids: Iterable[int]) -> Footprint:
    """Measure processes that share memory.

    PSS would be the sum if they were alone. But other stacks run the same files, and would be counted in for their
    share of each page of code. So a file's pages count once for these processes, whoever else uses them.

    Raises:
        FileNotFoundError, ProcessLookupError: one of them is gone.
    """
    anonymous, files = 0, Counter[tuple[str, ...]]()
    processes = tuple(memory(pid) for pid in sorted(pids))
    for process in processes:
        anonymous += _rollup(process.pid, "Pss_Anon", "SwapPss")
        for mapping, size in _file_pages(process.pid).items():
            files[mapping] = max(files[mapping], size)
    return Footprint(processes=processes, total=anonymous + files.total())


def _file_pages(pid: int) -> Counter[tuple[str, ...]]:
    """Return the bytes of each mapped file, or shared memory, that are in memory and not its own copies."""
    pages, mapping = Counter[tuple[str, ...]](), None
    for line in kernel.read(pid, "/proc/{pid}/smaps").splitlines():
        if found := _MAPPING.fullmatch(line):
            mapping = found.groups() if found["inode"] != "0" else None
        elif mapping and line.startswith(("Rss:", "Anonymous:")):
            name, size, _ = line.split()
            pages[mapping] += int(size) * KIB * (1 if name == "Rss:" else -1)
    return pages


def held(pids: Iterable[int], events: Events) -> dict[int, int]:
    """Return what each process itself has filled and holds, in bytes, after it has thrown its garbage away.

    Those that are gone are left out. Pages of files do not count, and a page that was shared with the
    parent counts the same before and after it is written to.
    """
    pids = frozenset(pids)
    obey(pids, TIDY_SIGNAL, "tidy", events, deadline_s=TIDY_DEADLINE_S)
    found = {}
    for pid in sorted(pids):
        with contextlib.suppress(*GONE):
            found[pid] = _rollup(pid, "Anonymous", "Swap")
    return found


def proportional(pids: Iterable[int]) -> int:
    """Return what processes occupy together, in bytes: quick, and too little where neighbours run the same files."""
    return sum(shares(pids).values())


def shares(pids: Iterable[int]) -> dict[int, int]:
    """Return each process's share of what they occupy, in bytes; those that are gone are left out."""
    found = {}
    for pid in pids:
        with contextlib.suppress(*GONE):
            found[pid] = _rollup(pid, "Pss", "SwapPss")
    return found


def _rollup(pid: int, *names: str) -> int:
    found = kernel.sizes(pid)
    return sum(found.get(name, 0) for name in names)
