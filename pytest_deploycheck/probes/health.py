"""Health while the app is busy: what the public gets, and what each worker makes wait."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from types import TracebackType
from typing import Protocol

import httpx2

from pytest_deploycheck.charts import RequestChart, around
from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.probes.http import Entry
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.probes.repeat import Repeated
from pytest_deploycheck.probes.traffic import SteadyTraffic, TimeLine
from pytest_deploycheck.stacks.protocol import Stack

CONNECT_DEADLINE_S = 5.0
SLOW_PER_WORKER = 30
SLOW_TIMEOUT_S = 60.0
ATTEMPTS = 3
# So often is health asked for before the slow requests come.
CALM = 4
# A machine that has answered all of them in less time was not overloaded.
NOT_OVERLOADED_S = 2.0
REFUSED = (503, 429)
HEALTH_BOUND_S = 0.5
# Where slow work blocks, health waits for at least one slow request nearly each time, even if that is below the bound.
WAIT_SHARE = 0.5
WAIT_FLOOR_S = 0.05


def forwarded(stack: Stack) -> dict[str, str]:
    """Return the headers with which the app is asked straight: one that would lead to HTTPS takes this for HTTPS."""
    return {"Host": stack.config.domain, "X-Forwarded-Proto": "https", **stack.config.requests.headers}


class PolledWorkers(Repeated):
    """Each worker is asked for ``path`` over a connection of its own, for the length of a ``with`` block.

    Straight at the app: a worker that is busy takes no new connections, so through the proxy the others would answer.
    What it has taken already waits, and so does this.
    """

    def __init__(self, stack: Stack, path: str, *, pause_s: float = 0.02) -> None:
        self.path = path
        self._headers = forwarded(stack)
        self._clients = self._connect(stack)
        self._answers: dict[int, list[Answer]] = {pid: [] for pid in self._clients}
        super().__init__([partial(self._poll, pid) for pid in self._clients], pause_s=pause_s)

    def _connect(self, stack: Stack) -> dict[int, httpx2.Client]:
        """Open connections until there is one to each worker, or the deadline has passed."""
        workers, found = stack.processes().workers, dict[int, httpx2.Client]()
        end = time.monotonic() + CONNECT_DEADLINE_S
        replicas = itertools.cycle(stack.upstream.replicas())
        while not found.keys() >= workers and time.monotonic() < end:
            client = next(replicas).client()
            pid = int(client.get(f"{MARK}echo", headers=self._headers).json()["pid"])
            found.setdefault(pid, client)
            if found[pid] is not client:
                client.close()
        return found

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        for client in self._clients.values():
            client.close()

    def _poll(self, pid: int) -> None:
        start = time.monotonic()
        try:
            status: int | str = self._clients[pid].get(self.path, headers=self._headers).status_code
        except httpx2.TransportError as error:
            status = type(error).__name__
        self._answers[pid].append(Answer(start, time.monotonic(), status))

    @property
    def time_lines(self) -> dict[int, TimeLine]:
        """What each worker has answered up to now."""
        return {pid: TimeLine(tuple(answers)) for pid, answers in self._answers.items()}


@dataclass(frozen=True, kw_only=True)
class UnderLoad:
    """What was answered while far more slow requests came at once than the app can answer.

    Attributes:
        alone_s: the time that one slow request took alone.
        heavy: the slow requests.
        health: health, to the public.
        by_worker: health, to a connection that was open before, by worker.
        afterwards: one more slow request, as soon as the others had been answered.
    """

    alone_s: float
    heavy: TimeLine
    health: TimeLine
    by_worker: dict[int, TimeLine]
    afterwards: Answer

    @classmethod
    def between(
        cls,
        began: float,
        ended: float,
        *,
        alone: Sequence[Answer],
        heavy: TimeLine,
        health: TimeLine,
        by_worker: Mapping[int, TimeLine],
        afterwards: Answer,
    ) -> UnderLoad:
        """Keep what was asked for health between the first slow request and the last answer to one."""

        def meanwhile(line: TimeLine) -> TimeLine:
            return TimeLine(tuple(one for one in line.answers if one.end >= began and one.start <= ended))

        return cls(
            alone_s=min(answer.end - answer.start for answer in alone),
            heavy=heavy,
            health=meanwhile(health),
            by_worker={pid: meanwhile(line) for pid, line in by_worker.items()},
            afterwards=afterwards,
        )

    @property
    def charts(self) -> list[RequestChart]:
        """Health, to the public and in each worker, and the slow requests."""
        answers = {
            "health, to the public": self.health.answers,
            **{f"health, in worker {pid}": line.answers for pid, line in self.by_worker.items()},
            "slow requests": self.heavy.answers,
        }
        begin = min((one.start for one in self.heavy.answers), default=None)
        return [
            around(
                "requests while there are too many",
                answers,
                [],
                begin=begin,
                expected={"slow requests": REFUSED},
            )
        ]

    @property
    def served(self) -> TimeLine:
        """The slow requests that were answered with 2xx."""
        return TimeLine(tuple(answer for answer in self.heavy.answers if answer.ok))

    @property
    def refused(self) -> TimeLine:
        """The slow requests that were refused: "not now" (503), "too many" (429)."""
        return TimeLine(tuple(answer for answer in self.heavy.answers if answer.status in REFUSED))

    @property
    def broken(self) -> TimeLine:
        """The slow requests that were neither served nor refused."""
        good = {*self.served.answers, *self.refused.answers}
        return TimeLine(tuple(answer for answer in self.heavy.answers if answer not in good))

    def slowest_s(self, percent: float) -> float:
        """Return the time in which ``percent`` of the health requests were answered, where they were slowest."""
        return max(line.percentile_s(percent) for line in (self.health, *self.by_worker.values()))

    @property
    def blocks(self) -> bool:
        """Whether health waited for slow requests: mostly for one at least, even where that is below the bound."""
        waits = self.slowest_s(75) > max(WAIT_SHARE * self.alone_s, WAIT_FLOOR_S)
        return waits or self.slowest_s(99) > HEALTH_BOUND_S or bool(self.health.failed)


class Crowd(Protocol):
    """Who sends requests at once, and asks for health meanwhile."""

    def __call__(self, path: str, *, count: int, timeout_s: float) -> UnderLoad:
        """Send ``count`` of them to ``path``, and wait ``timeout_s`` for each answer."""


def overload_attempts(stack: Stack, path: str) -> list[UnderLoad]:
    """Overload the app until it does well, or for the last time; send more where nobody had to wait."""
    crowd: Crowd = stack.crowd or partial(health_under_load, stack)
    seen: list[UnderLoad] = []
    count = SLOW_PER_WORKER * stack.config.workers
    while len(seen) < ATTEMPTS and (not seen or seen[-1].blocks):
        seen.append(crowd(path, count=count, timeout_s=SLOW_TIMEOUT_S))
    if not seen[-1].refused.answers and seen[-1].heavy.percentile_s(100) < NOT_OVERLOADED_S:
        seen.append(crowd(path, count=4 * count, timeout_s=SLOW_TIMEOUT_S))
    return seen


def health_under_load(stack: Stack, path: str, *, count: int, timeout_s: float) -> UnderLoad:
    """Send ``count`` slow requests to ``path`` at once, while health is polled."""
    live = stack.config.requests.live
    alone = [_once(stack.entry, path, timeout_s) for _ in range(2)]
    with (
        SteadyTraffic(stack.entry, live, clients=1, pause_s=0.02) as health,
        PolledWorkers(stack, live) as workers,
    ):
        health.wait_for_good(CALM)
        began = time.monotonic()
        heavy = volley(stack.entry, path, count=count, timeout_s=timeout_s)
        ended = time.monotonic()
        afterwards = _once(stack.entry, path, timeout_s)
        health.wait_for_good(1)
    return UnderLoad.between(
        began,
        ended,
        alone=alone,
        heavy=heavy,
        health=health.time_line,
        by_worker=workers.time_lines,
        afterwards=afterwards,
    )


def _once(entry: Entry, path: str, timeout_s: float) -> Answer:
    with contextlib.closing(entry.line(timeout_s=timeout_s)) as line:
        with contextlib.suppress(OSError):  # then the request tells
            line.connect()
        return line.get(path)


def volley(entry: Entry, path: str, *, count: int, timeout_s: float) -> TimeLine:
    """Send requests in the same moment, each over a connection of its own that was opened before."""
    lines = [entry.line(timeout_s=timeout_s) for _ in range(count)]
    with contextlib.ExitStack() as opened, ThreadPoolExecutor(count, thread_name_prefix="volley") as pool:
        for line in lines:
            opened.callback(line.close)
            with contextlib.suppress(OSError):  # then the request tells
                line.connect()
        return TimeLine(tuple(pool.map(lambda line: line.get(path), lines)))
