"""Workers take more memory than they may: one at once, or all of them little by little."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from itertools import accumulate

import psutil

from pytest_deploycheck.charts import Chart, LineChart, around
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.outcome import Blocked, NotApplicable, NotVerified
from pytest_deploycheck.probes.answer import is_good
from pytest_deploycheck.probes.events import SHUT_DOWN, Events
from pytest_deploycheck.probes.in_flight import InFlight
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.probes.kernel import GONE
from pytest_deploycheck.probes.line import Line
from pytest_deploycheck.probes.memory import MIB, mib, proportional, shares
from pytest_deploycheck.probes.processes import Processes, alive, kill
from pytest_deploycheck.probes.traffic import PatientTraffic, TimeLine
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.workshop import Workshop

# One worker alone takes so much of the limit for all, in so many steps.
GREED = 1.25
STEPS = 50
# A worker that has not grown for so long is stopped by nobody; to fill so much takes its time on a busy machine.
BITE_DEADLINE_S, FILL_DEADLINE_S = 10.0, 60.0
# So many requests together would leak what is left to the limit.
LEAKS = 200
LEAKS_AT_ONCE = 5
# A worker that is asked to go is there for some time: at this pace that fills a small part of the limit. The first half
# of what is left to it may be filled so many times as fast.
LEAK_EVERY_S = 0.2
HASTE = 4
# So long, or so many times as long as an app that ended may take to be back: replacing is slow on a busy machine.
LEAK_DEADLINE_S, LEAK_RECOVERIES = 45.0, 4


@dataclass(frozen=True, kw_only=True)
class Overfed:
    """One worker filled memory past the limit.

    Attributes:
        stack: the stack it happened to.
        steps: what was done.
        limit_mb: the limit, for all processes of the app together.
        victim: the worker.
        filled: how much it had filled, in MiB, by seconds since the request.
        stopped, refused: whether it was ended, or got no more.
        took_s: until then, in seconds.
        before, after: the app's processes.
        others: workers of before, except the victim, that were ended too, and without grace.
        recovered: whether as many workers as before served in the end, and the app was ready.
    """

    stack: Stack
    steps: tuple[str, ...]
    limit_mb: int
    victim: int
    filled: tuple[tuple[float, float], ...]
    stopped: bool
    refused: bool
    took_s: float
    before: Processes
    after: Processes
    others: frozenset[int]
    recovered: bool

    @property
    def filled_mb(self) -> float:
        """How far it came."""
        return max((mb for _, mb in self.filled), default=0)

    @property
    def charts(self) -> list[Chart]:
        """What the worker had filled, until it was stopped."""
        end = "it is ended" if self.stopped else "it gets no more" if self.refused else "nothing stops it"
        return [
            LineChart(
                title="one worker fills memory",
                unit="MiB",
                lines={f"filled by worker {self.victim}": list(self.filled)},
                limit=self.limit_mb,
                limit_name="memory_limit_mb",
                moments=[(round(self.took_s, 2), end)],
            )
        ]


@lane(Lane.RESCALED)
def overfeed(workshop: Workshop) -> Overfed:
    """Let one worker fill memory, until it is stopped or refused, or has more than all may have together.

    Raises:
        NotApplicable: no limit is declared.
        NotVerified: this machine has not so much memory to spare.
    """
    stack = workshop.rescaled.steady()
    before, limit_mb = stack.processes(), _limit_mb(stack)
    size_mb = GREED * limit_mb
    if size_mb * MIB > psutil.virtual_memory().available / 2:
        raise NotVerified(f"this machine has not enough free memory to fill {size_mb:.0f} MiB")
    bite = InFlight(
        stack,
        "allocate",
        f"mb={size_mb}&step_mb={size_mb / STEPS}&seconds={BITE_DEADLINE_S}",
        method="POST",
        timeout_s=FILL_DEADLINE_S,
        begin_deadline_s=BITE_DEADLINE_S,
    )
    victim = bite.worker
    wait_for(lambda: _is_decided(bite), bool, deadline_s=FILL_DEADLINE_S)
    stopped, took_s = not alive({victim}), time.monotonic() - bite.sent_at
    kill({victim} if victim and not stopped else ())  # it gives its memory back
    recovered = wait_for(
        lambda: (
            len(stack.processes().workers - {victim}) >= len(before.workers)
            and is_good(stack.entry.status(stack.config.requests.ready))
        ),
        bool,
        deadline_s=workshop.rescaled.patience_s,
    )
    after = stack.processes()
    return Overfed(
        stack=stack,
        steps=(f"a request let worker {victim} fill up to {size_mb:.0f} MiB",),
        limit_mb=limit_mb,
        victim=victim,
        filled=tuple((round(event.t - bite.sent_at, 3), event.data["mb"]) for event in bite.events()),
        stopped=stopped,
        refused=bool(bite.events("refused")),
        took_s=took_s,
        before=before,
        after=after,
        others=before.workers
        - {victim}
        - after.workers
        - stack.copy.events.pids(SHUT_DOWN, since=bite.sent_at),
        recovered=recovered,
    )


def _is_decided(bite: InFlight) -> bool:
    """Tell whether a worker that fills memory was stopped, or nothing happens to it any more."""
    grown_at = max((event.t for event in bite.events()), default=bite.sent_at)
    idle_s = time.monotonic() - grown_at
    return bool(bite.events("refused")) or not alive({bite.worker}) or idle_s > BITE_DEADLINE_S


@dataclass(frozen=True, kw_only=True)
class Leaked:
    """Each request leaked, until each worker had been replaced or the limit was reached.

    Attributes:
        stack: the stack it happened to.
        steps: what was done.
        limit_mb: the limit, for all processes of the app together.
        at: ``time.monotonic()`` when the leaking began.
        held: what each process held, in MiB, by seconds since then.
        peak_mb: what they held together at most.
        before, after: the app's processes.
        shut_down: workers of before that ended with grace: their lifespan shutdown ran.
        fewest: how many workers served at the moment when fewest did.
        leaking, traffic: the requests that leaked, and the steady ones to the project's ``read`` route.
        took_s: in seconds.
    """

    stack: Stack
    steps: tuple[str, ...]
    limit_mb: int
    at: float
    held: tuple[tuple[float, dict[int, float]], ...]
    peak_mb: float
    before: Processes
    after: Processes
    shut_down: frozenset[int]
    fewest: int
    leaking: TimeLine
    traffic: TimeLine
    took_s: float

    @property
    def charts(self) -> list[Chart]:
        """What each process held, and how requests fared meanwhile."""
        workers = self.before.workers | self.after.workers | self.shut_down
        lines = {"all together": [(t, round(sum(found.values()), 1)) for t, found in self.held]}
        for pid in sorted({pid for _, found in self.held for pid in found}):
            name = f"{'worker' if pid in workers else 'server'} {pid}"
            lines[name] = [(t, found[pid]) for t, found in self.held if pid in found]
        memory = LineChart(
            title="memory while each request leaks",
            unit="MiB",
            lines=lines,
            limit=self.limit_mb,
            limit_name="memory_limit_mb",
        )
        path = self.stack.config.requests.read
        answers = {f"GET {path}": self.traffic.answers, "requests that leak": self.leaking.answers}
        moments = [(self.at, "leaking begins")]
        return [memory, around("requests while workers are recycled", answers, moments)]

    def describe(self) -> str:
        """Say what was seen, for a message."""
        return (
            f"workers {sorted(self.before.workers)} -> {sorted(self.after.workers)} in {self.took_s:.1f} s, "
            f"at most {self.peak_mb:.0f} MiB of {self.limit_mb}; {self.traffic.summary()}; "
            f"those that leaked: {self.leaking.summary()}"
        )


@lane(Lane.ISSUE)
def leak(workshop: Workshop) -> Leaked:
    """Leak a little with each request, under steady traffic, and wait whenever a worker is being replaced.

    A real leak takes days: the new worker is there before the others have grown by much.

    Raises:
        NotApplicable: no limit is declared.
    """
    stack = workshop.for_leaks.steady()
    before, limit_mb = stack.processes(), _limit_mb(stack)
    held_mb = mib(proportional(before.tree))
    each_mb = max(0.1, (limit_mb - held_mb) / LEAKS)
    began = time.monotonic()
    fewest, leaking = len(before.workers), list[TimeLine]()
    held: list[tuple[float, dict[int, float]]] = []

    def shut_down() -> frozenset[int]:
        return stack.copy.events.pids(SHUT_DOWN, since=began)

    def look() -> Processes:
        now = stack.processes()
        sizes = {pid: mib(size) for pid, size in shares(now.tree).items()}
        held.append((round(time.monotonic() - began, 2), sizes))
        return now

    def peak_mb() -> float:
        return max(sum(sizes.values()) for _, sizes in held)

    def leak_some(line: Line) -> bool:
        """Leak if all workers are there; tell whether it is enough."""
        nonlocal fewest
        now = look()
        serving = now.workers - shut_down()
        fewest = min(fewest, len(serving))
        if not serving & before.workers or peak_mb() > limit_mb:
            return True
        if len(serving) >= len(before.workers):
            path = f"{MARK}leak?mb={each_mb}"
            count = LEAKS_AT_ONCE * (HASTE if peak_mb() < (held_mb + limit_mb) / 2 else 1)
            leaking.append(TimeLine(tuple(line.get_patiently(path) for _ in range(count))))
        return False

    patience_s = workshop.for_leaks.patience_s
    with (
        # Where one worker is all there is, requests wait for the next one. Certificates may still be renewed.
        PatientTraffic(stack.entry, stack.config.requests.read, timeout_s=patience_s) as traffic,
        contextlib.closing(stack.entry.line(timeout_s=patience_s)) as line,
    ):
        traffic.wait_for_rounds()
        deadline_s = max(LEAK_DEADLINE_S, LEAK_RECOVERIES * patience_s)
        wait_for(lambda: leak_some(line), bool, deadline_s=deadline_s, every_s=LEAK_EVERY_S)
        after = wait_for(
            look,
            lambda now: len(now.workers - shut_down()) >= len(before.workers),
            deadline_s=patience_s,
        )
        took_s = time.monotonic() - began
        traffic.wait_for_rounds(deadline_s=2)
    ended = shut_down()
    kill(before.workers & stack.processes().workers)  # they give their memory back
    return Leaked(
        stack=stack,
        steps=(
            f"{traffic.clients} connections sent requests to {stack.config.requests.read}",
            f"requests that leaked {each_mb:.1f} MiB each, while all workers were there",
        ),
        limit_mb=limit_mb,
        at=began,
        held=tuple(held),
        peak_mb=peak_mb(),
        before=before,
        after=after,
        shut_down=ended & before.workers,
        fewest=min(fewest, _fewest(stack.copy.events, before, since=began)),
        leaking=TimeLine(tuple(answer for line in leaking for answer in line.answers)),
        traffic=traffic.time_line,
        took_s=took_s,
    )


def _fewest(events: Events, before: Processes, *, since: float) -> int:
    """Return how many workers served when fewest did: a request that waits for the next worker lets nobody look."""
    ups = [(event.t, 1) for event in events.named("worker", since=since) if event.pid not in before.workers]
    downs = [(event.t, -1) for event in events.named(SHUT_DOWN, since=since)]
    counts = accumulate((change for _, change in sorted(ups + downs)), initial=len(before.workers))
    return max(0, min(counts))


def _limit_mb(stack: Stack) -> int:
    """Return the declared limit.

    Raises:
        NotApplicable: there is none.
        Blocked: the app needs it all from the beginning.
    """
    limit_mb = stack.config.memory_limit_mb
    if limit_mb is None:
        raise NotApplicable("no limit is declared: [tool.deploycheck] memory_limit_mb")
    held_mb = 0.0
    with contextlib.suppress(*GONE):
        held_mb = mib(proportional(stack.processes().tree))
    if held_mb > 0.9 * limit_mb:
        raise Blocked(
            f"the app holds {held_mb:.0f} MiB before anything leaks, the limit is {limit_mb} (see MEM001)"
        )
    return limit_mb
