"""As many requests as the app can answer, and then some less: what the machine's CPUs do meanwhile."""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections import Counter
from dataclasses import dataclass

from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.probes.cpus import affinity, cpus
from pytest_deploycheck.probes.elsewhere import by_place
from pytest_deploycheck.probes.kernel import GONE, cpu_seconds, idle_seconds, machine, waited_seconds
from pytest_deploycheck.probes.line import Line
from pytest_deploycheck.probes.traffic import TimeLine
from pytest_deploycheck.stacks.protocol import Stack

LINES_PER_WORKER = (6, 8, 8)
# Where the way to the app takes most of the time, so many more are needed to keep it busy.
MORE_LINES_PER_WORKER = (16, 32, 64)
SATURATION_S = 0.5
LINE_TIMEOUT_S = 30.0
BUSY_SHARE = 0.4
CLIENT_LIMIT = 0.8
# Twice the requests in flight give so many times the answers, unless the app is what they wait for.
GROWS = 1.3


@dataclass(frozen=True, kw_only=True)
class Load:
    """What was seen while requests were sent for a while.

    Attributes:
        lines: the number of connections.
        answers: the requests.
        by_worker: how many of them each worker has answered, as far as known.
        seconds: for how long.
        cpu_s: CPU time of all processes of the deployment: app, proxy and manager.
        idle_s: CPU time that nobody used, of the CPUs that the deployment may use.
        client_s: CPU time of the client, which is this process, or of the busiest that carries its requests.
        worker_share: the part of the time in which the busiest worker worked, or waited for a CPU.
    """

    lines: int
    answers: TimeLine
    by_worker: Counter[int]
    seconds: float
    cpu_s: float
    idle_s: float
    client_s: float
    worker_share: float

    @property
    def rate(self) -> float:
        """Good answers in a second."""
        return (len(self.answers.answers) - len(self.answers.failed)) / self.seconds

    @property
    def cpu_share(self) -> float:
        """The part of what the deployment could have had of the CPUs that it used: others' programs do not count."""
        return self.cpu_s / max(self.cpu_s + self.idle_s, 0.001)

    @property
    def is_busy(self) -> bool:
        """Whether a worker had no time to spare, or the client could not ask for more.

        It does not depend on what else the machine does: who waits for a CPU counts as busy.
        """
        return self.worker_share >= BUSY_SHARE or self.client_share >= CLIENT_LIMIT

    @property
    def client_share(self) -> float:
        """How busy the client was; at 1.0 it could not have sent more, being one Python process."""
        return self.client_s / self.seconds


def load(stack: Stack, path: str, *, lines: int, seconds: float, rate: float | None = None) -> Load:
    """Send requests over some connections, one after the other on each: ``rate`` a second, or as many as it can."""
    connections = [stack.entry.line(timeout_s=LINE_TIMEOUT_S) for _ in range(lines)]
    pause_s = lines / rate if rate else 0.0
    answers: list[tuple[Answer, int | None]] = []
    ready, begin, end = threading.Barrier(lines + 1), threading.Event(), threading.Event()

    def send(line: Line, number: int) -> None:
        with contextlib.closing(line):
            line.get(path)  # connects
            ready.wait()
            begin.wait()
            # Spread evenly: all at the same moment, they would wait for each other.
            first = time.monotonic() + pause_s * number / lines
            for turn in itertools.count():
                if end.wait(max(0.0, first + turn * pause_s - time.monotonic())):
                    return
                answers.append((line.get(path), line.answered_by))

    threads = [
        threading.Thread(target=send, args=(line, number), name="load", daemon=True)
        for number, line in enumerate(connections)
    ]
    for thread in threads:
        thread.start()
    ready.wait()
    before, began = _used(stack), time.monotonic()
    begin.set()
    time.sleep(seconds)
    after, ended = _used(stack), time.monotonic()
    end.set()
    for thread in threads:
        thread.join()
    meanwhile = [(answer, pid) for answer, pid in answers if answer.end <= ended]
    cpu_s = max(0.0, after.ours_s - before.ours_s)
    # No more can be had than affinity and quota give, nor than the workers can use: each is mostly one thread.
    usable_s = min(_cpus(stack), float(stack.config.workers)) * (ended - began)
    return Load(
        lines=lines,
        answers=TimeLine(tuple(sorted((answer for answer, _ in meanwhile), key=lambda one: one.start))),
        by_worker=Counter(pid for _, pid in meanwhile if pid),
        seconds=ended - began,
        cpu_s=cpu_s,
        idle_s=min(max(0.0, after.idle_s - before.idle_s), max(0.0, usable_s - cpu_s)),
        client_s=max(after.clients_s[pid] - before.clients_s.get(pid, 0.0) for pid in after.clients_s),
        worker_share=max(
            (
                (after.workers_s[pid] - before.workers_s.get(pid, 0.0)) / (ended - began)
                for pid in after.workers_s
            ),
            default=0.0,
        ),
    )


def saturate(stack: Stack, path: str) -> Load:
    """Send as many requests as the app can answer, with more of them in flight if that leaves CPUs idle.

    Those who wait for the same thing in the app wait for each other. Where nobody waits longer for there being more of
    them, they are on the way to it, as to a cluster far away.
    """
    workers = stack.config.workers
    for lines in LINES_PER_WORKER:
        seen = load(stack, path, lines=lines * workers, seconds=SATURATION_S)
        if seen.is_busy:
            return seen
    for lines in MORE_LINES_PER_WORKER:
        more = load(stack, path, lines=lines * workers, seconds=SATURATION_S)
        if more.rate < GROWS * seen.rate:
            break
        seen = more
        if seen.is_busy:
            break
    return seen


@dataclass(frozen=True, kw_only=True)
class _Used:
    """CPU time up to now, in seconds."""

    ours_s: float
    idle_s: float
    clients_s: dict[int, float]
    workers_s: dict[int, float]


def _used(stack: Stack) -> _Used:
    ours, carriers = 0.0, stack.carriers()
    for pid in stack.copy.pids() - carriers:
        with contextlib.suppress(*GONE):
            ours += cpu_seconds(pid)
    clients = {}
    for pid in (os.getpid(), *carriers):
        with contextlib.suppress(*GONE):
            clients[pid] = cpu_seconds(pid)
    workers, machines = {}, dict[str, int]()
    for pid in stack.processes().workers:
        with contextlib.suppress(*GONE):
            workers[pid] = cpu_seconds(pid) + _waited(pid)
            machines[machine(pid)] = pid
    idle = sum(idle_seconds(pid, affinity(pid)) for pid in machines.values())
    return _Used(ours_s=ours, idle_s=idle, clients_s=clients, workers_s=workers)


def _cpus(stack: Stack) -> float:
    """Return how many CPUs the workers may use: what those of each container may, added up."""
    return sum(max(cpus(pid) for pid in there) for there in by_place(stack.processes().workers))


def _waited(pid: int) -> float:
    """Return how long the main thread of a process has waited for a CPU, in seconds; 0 where the kernel keeps it."""
    with contextlib.suppress(OSError, IndexError):
        return waited_seconds(pid)
    return 0.0
