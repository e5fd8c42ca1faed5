"""Steady requests in the background, with a time line of what was answered."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType

from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.probes.http import Entry
from pytest_deploycheck.probes.line import TIMEOUT_S, Line
from pytest_deploycheck.probes.repeat import Repeated
from pytest_deploycheck.probes.wait import wait_for

# All is well when each connection has been answered so often.
ROUNDS = 3


@dataclass(frozen=True)
class TimeLine:
    """The requests of one experiment, in the order of their start."""

    answers: tuple[Answer, ...]

    @property
    def failed(self) -> tuple[Answer, ...]:
        """Those that were not answered with 2xx."""
        return tuple(answer for answer in self.answers if not answer.ok)

    def longest_gap_s(self) -> float:
        """Return the longest time without a good answer, up to the last request, in seconds."""
        ends = sorted(answer.end for answer in self.answers if answer.ok)
        ends += [max(answer.end for answer in self.answers)] if ends else []
        return max((later - earlier for earlier, later in itertools.pairwise(ends)), default=0.0)

    def percentile_s(self, percent: float) -> float:
        """Return the time under which ``percent`` of all requests took, in seconds (nearest rank); 0 for none."""
        times = sorted(answer.end - answer.start for answer in self.answers) or [0.0]
        return times[min(len(times) - 1, int(len(times) * percent / 100))]

    def summary(self) -> str:
        """Say it in one line."""
        kinds = sorted({str(answer.status) for answer in self.failed})
        bad = f"{len(self.failed)} failed ({', '.join(kinds)})" if self.failed else "0 failed"
        return f"{len(self.answers)} requests, {bad}, longest gap {self.longest_gap_s():.2f} s"


class SteadyTraffic(Repeated):
    """Requests to ``path`` from ``clients`` connections, from entering the ``with`` block to leaving it.

    ``path`` may be a function that gives the path of each request.
    """

    def __init__(
        self,
        entry: Entry,
        path: str | Callable[[], str],
        *,
        clients: int = 4,
        pause_s: float = 0.1,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self.entry = entry
        self.path = path
        self.clients = clients
        self._answers: list[Answer] = []
        self._lines = [entry.line(timeout_s=timeout_s) for _ in range(clients)]
        super().__init__([partial(self._send, line) for line in self._lines], pause_s=pause_s)

    def _send(self, line: Line) -> None:
        self._answers.append(line.get(self.path if isinstance(self.path, str) else self.path()))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        for line in self._lines:
            line.close()

    @property
    def time_line(self) -> TimeLine:
        """What has been answered up to now."""
        return TimeLine(tuple(sorted(self._answers, key=lambda answer: answer.start)))

    def wait_for_good(self, count: int, *, deadline_s: float = 10.0) -> bool:
        """Wait until ``count`` more requests have been answered with 2xx; tell whether they were in time."""
        return self._wait_for(count, lambda answer: answer.ok, deadline_s)

    def wait_for_rounds(self, *, deadline_s: float = 10.0) -> bool:
        """Wait until each connection, on the average, has been answered with 2xx three times more."""
        return self.wait_for_good(ROUNDS * self.clients, deadline_s=deadline_s)

    def wait_for_any(self, count: int, *, deadline_s: float = 10.0) -> bool:
        """Wait until ``count`` more requests have ended, well or badly; tell whether they were in time."""
        return self._wait_for(count, lambda _: True, deadline_s)

    def _wait_for(self, count: int, counts: Callable[[Answer], bool], deadline_s: float) -> bool:
        start = time.monotonic()

        def seen() -> int:
            return sum(counts(answer) and answer.start >= start for answer in list(self._answers))

        return wait_for(seen, lambda number: number >= count, deadline_s=deadline_s) >= count


class PatientTraffic(SteadyTraffic):
    """Requests over kept connections to a proxy that may read its configuration anew; see ``Line.get_patiently``."""

    def _send(self, line: Line) -> None:
        assert isinstance(self.path, str)
        self._answers.append(line.get_patiently(self.path))


def gather(look: Callable[[], object], *, count: int, threads: int) -> list[object]:
    """Call ``look`` ``count`` times from several threads and return what it returned."""
    with ThreadPoolExecutor(threads, thread_name_prefix="gather") as pool:
        return list(pool.map(lambda _: look(), range(count)))
