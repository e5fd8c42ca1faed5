"""Memory: all processes together fit into what they were given, and stay that size."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass

from pytest_deploycheck.charts import BarChart, LineChart
from pytest_deploycheck.check import check
from pytest_deploycheck.experiments.feeding import Leaked, Overfed, leak, overfeed
from pytest_deploycheck.experiments.kills import Killed, kill_worker
from pytest_deploycheck.need import Need
from pytest_deploycheck.outcome import Blocked, Evidence, NotApplicable, Note, NotVerified
from pytest_deploycheck.probes.control_groups import memory_limit
from pytest_deploycheck.probes.memory import MIB, Footprint, footprint, held, mib
from pytest_deploycheck.probes.traffic import SteadyTraffic
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.stacks.protocol import Stack

HEADROOM = 0.1
WARM_UP_REQUESTS = 40

# A leak of 10 KB in each second request is found. Ordinary noise is below 0.5 KB in so many requests.
LEAK_BYTES_PER_REQUEST = 3000
WINDOW_REQUESTS_PER_WORKER = 200
WINDOW_S = 1.2
FLAT_DEADLINE_S = 25.0

# How logs call it: "sent SIGKILL", "signal 9", "9/KILL", "Perhaps out of memory", "OOM", "oom-kill"; or "[pid] died".
TELLS_OF_A_KILL = re.compile(
    r"SIGKILL|signal[ :]*9\b|\b9/KILL\b|out of memory|\boom\b|oom[-_]kill", re.IGNORECASE
)


@check(
    "MEM001",
    "the memory budget adds up",
    expect="all processes of the app together, and 10 % on top, within [tool.deploycheck] memory_limit_mb, and "
    "within the limit that the kernel keeps for them",
    fix="fewer workers, a smaller app, or a higher limit: each worker costs its own copy of what it has loaded",
)
def check_memory_budget_adds_up(stack: Stack, note: Note) -> None:
    """Measure parent and workers after some requests."""
    promised = stack.config.memory_limit_mb
    if promised is None:
        raise NotApplicable("no limit is declared: [tool.deploycheck] memory_limit_mb")
    with SteadyTraffic(stack.entry, stack.config.requests.read) as traffic:
        traffic.wait_for_good(WARM_UP_REQUESTS)
    processes = stack.processes()
    seen = footprint(processes.tree)
    need = seen.total * (1 + HEADROOM)
    limit = min(promised, (memory_limit(processes.tree) or promised * MIB) // MIB)
    note.measured(
        total_mb=mib(seen.total),
        need_mb=mib(need),
        limit_mb=limit,
        shared_mb=mib(seen.shared),
        processes=seen.table(processes.workers),
    )
    note.did(f"{len(traffic.time_line.answers)} requests to {stack.config.requests.read}")
    note.drew(_budget(seen, processes.workers, limit))
    whose = "" if limit == promised else f" of their control group, and memory_limit_mb is {promised}"
    assert need <= limit * MIB, (
        f"{seen.describe()}; with {HEADROOM:.0%} on top {mib(need)} MiB are needed, the limit is {limit} MiB{whose}"
    )


@check(
    "MEM002",
    "there is a limit and it bites",
    expect="it is ended, or gets no more; nothing else ends, and all workers are back within seconds",
    fix="a limit that something enforces: the control group of a unit or a container, RLIMIT_DATA, or a process that "
    "watches and kills",
    experiment=overfeed,
    needs=(Need.REPLACEMENT,),
)
def check_there_is_a_limit_and_it_bites(experiment: Overfed, note: Note) -> None:
    """Let one worker fill memory until it alone has more than all may have together."""
    seen = experiment
    note.measured(filled_mb=round(seen.filled_mb), limit_mb=seen.limit_mb, took_s=round(seen.took_s, 2))
    declared = seen.stack.unenforced_limit()
    if declared and not (seen.stopped or seen.refused):
        note.did(f"this machine cannot enforce {declared}: it stands in the file, and was not seen")
        note.evidence = Evidence.DECLARED
        return
    assert seen.stopped or seen.refused, (
        f"worker {seen.victim} filled {seen.filled_mb:.0f} MiB, was not stopped in {seen.took_s:.0f} s, "
        f"and the limit is {seen.limit_mb} MiB"
    )
    assert seen.after.manager == seen.before.manager, "the manager itself was ended"
    assert not seen.others, f"other workers were ended too: {sorted(seen.others)}"
    assert seen.recovered, (
        f"workers {sorted(seen.before.workers)} before, {sorted(seen.after.workers)} afterwards"
    )


@check(
    "MEM003",
    "a leaking worker is recycled",
    expect="each worker ends with grace and is replaced before the limit is reached, and no request fails",
    fix="let what grows end with grace: after so many requests (max_requests with a jitter), "
    "or, better, when it has grown above its share",
    experiment=leak,
    needs=(Need.REPLACEMENT,),
)
def check_leaking_worker_is_recycled(experiment: Leaked, note: Note) -> None:
    """Leak with each request until each worker has been replaced, or the limit is reached."""
    seen, failed = experiment, (*experiment.traffic.failed, *experiment.leaking.failed)
    note.measured(
        peak_mb=round(seen.peak_mb),
        limit_mb=seen.limit_mb,
        leaks=len(seen.leaking.answers),
        took_s=round(seen.took_s, 2),
    )
    assert seen.peak_mb <= seen.limit_mb, f"nobody was recycled in time; {seen.describe()}"
    missing = seen.before.workers - seen.shut_down
    assert not missing, f"workers {sorted(missing)} did not end with grace; {seen.describe()}"
    assert len(seen.after.workers) >= len(seen.before.workers), f"too few workers; {seen.describe()}"
    assert not failed, f"requests failed; {seen.describe()}"


@check(
    "MEM004",
    "workers do not recycle in step",
    expect="at each moment at least one worker serves",
    fix="one at a time, the next when it is back; a jitter where each decides alone (max_requests_jitter)",
    experiment=leak,
    should=True,
)
def check_workers_do_not_recycle_in_step(experiment: Leaked, note: Note) -> None:
    """Leak in all workers alike, and count those that serve while they are recycled."""
    seen = experiment
    if len(seen.before.workers) < 2:
        raise NotApplicable("one worker alone has nobody to be in step with")
    if not seen.shut_down:
        raise Blocked(f"no worker is recycled at all (see MEM003): {seen.describe()}")
    note.measured(fewest=seen.fewest, workers=len(seen.before.workers))
    assert seen.fewest > 0, f"at a moment no worker served; {seen.describe()}"


@check(
    "MEM005",
    "memory is flat under steady load",
    expect=f"what the workers hold stops growing: less than {LEAK_BYTES_PER_REQUEST} bytes a request",
    fix="find what grows with each request: a list or dict of the module, a cache without a bound, "
    "a metric with the path as its label",
)
def check_memory_is_flat_under_steady_load(stack: Stack, note: Note) -> None:
    """Send steady requests, and measure what each worker holds, without its garbage, until it stops growing."""
    samples = _watch(stack)
    window = _window(samples)
    if window is None:
        raise NotVerified(
            f"{samples[-1].requests} requests in {FLAT_DEADLINE_S:.0f} s, or between two replacements of workers, are "
            "too few to tell a leak from noise: check again when this machine is less busy"
        )
    note.measured(
        bytes_per_request=round(_slope(window)),
        requests=samples[-1].requests,
        held_bytes=[{"t_s": sample.t, "requests": sample.requests, **sample.json()} for sample in samples],
    )
    note.did(
        f"{samples[-1].requests} requests in {samples[-1].t:.1f} s: to {stack.config.requests.read}, "
        f"{stack.config.requests.live}, and to paths that are not there"
    )
    note.drew(_growth(samples))
    first, last = window[0], window[-1]
    assert _slope(window) < LEAK_BYTES_PER_REQUEST, (
        f"still growing by {_slope(window):.0f} bytes a request after {first.requests} of them: "
        + ", ".join(
            f"pid {pid} from {mib(first.held[pid])} to {mib(size)} MiB" for pid, size in last.held.items()
        )
        + f" in {last.requests - first.requests} requests"
    )


@check(
    "MEM006",
    "a memory kill is noticed",
    expect="within seconds a new line in a log tells that a worker was killed",
    fix="let the manager or the server say it: a log level that keeps warnings, and a log that is kept",
    experiment=kill_worker,
    needs=(Need.REPLACEMENT,),
)
def check_memory_kill_is_noticed(experiment: Killed, note: Note) -> None:
    """SIGKILL one worker, as the kernel does when memory runs out, and read the new lines of the logs."""
    (pid,) = experiment.victims
    its_end = re.compile(rf"\b{pid}\b.*\b(died|killed|terminated|exited)\b", re.IGNORECASE)
    lines = [line for line in experiment.log if TELLS_OF_A_KILL.search(line) or its_end.search(line)]
    note.did(f"{len(experiment.log)} new lines in the logs, of which {len(lines)} tell of a kill", *lines[:1])
    note.measured(line=lines[0] if lines else None)
    assert lines, (
        f"none of {len(experiment.log)} new lines in {', '.join(file.name for file in experiment.stack.log_files())} "
        "says that a process was killed"
    )


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What each worker held after so many requests, ``t`` seconds after the load began."""

    t: float
    requests: int
    held: dict[int, int]

    def json(self) -> dict[str, object]:
        """Return the part for the report."""
        return {"held": {str(pid): size for pid, size in self.held.items()}}


def _budget(seen: Footprint, workers: frozenset[int], limit: int) -> BarChart:
    own = {
        f"{'worker' if one.pid in workers else 'server'} {one.pid}": mib(one.uss) for one in seen.processes
    }
    return BarChart(
        title="memory of the app",
        unit="MiB",
        bars={"all together": {"shared": mib(seen.shared), **own}},
        limit=limit,
        limit_name="memory_limit_mb",
    )


def _growth(samples: list[Sample]) -> LineChart:
    return LineChart(
        title="what each worker holds under steady load",
        unit="MiB",
        lines={
            f"worker {pid}": [(sample.t, mib(sample.held[pid])) for sample in samples if pid in sample.held]
            for pid in sorted(samples[-1].held)
        },
    )


def _watch(stack: Stack) -> list[Sample]:
    """Take samples under load until a window of them is flat, or the deadline has passed.

    What grows at first may stop growing: caches fill, and a server keeps what belongs to a connection for some
    seconds after its end. A leak never stops.
    """
    requests, numbers = stack.config.requests, itertools.count()
    samples: list[Sample] = []
    began = time.monotonic()

    def path() -> str:
        number = next(numbers)
        new = f"/deploycheck-{number}"  # the half of all: what is kept of each path must stand out from the noise
        return (requests.read, new, requests.live, new)[number % 4]

    with SteadyTraffic(stack.entry, path, pause_s=0.02) as traffic:

        def look() -> list[Sample]:
            found = held(stack.processes().workers, stack.copy.events)
            if samples and samples[-1].held.keys() != found.keys():
                samples.clear()  # a worker was replaced, as some servers do after so many requests
            sent = len(traffic.time_line.answers)
            samples.append(Sample(t=round(time.monotonic() - began, 2), requests=sent, held=found))
            return samples

        wait_for(look, _is_flat, deadline_s=FLAT_DEADLINE_S, every_s=0.4)
    return samples


def _window(samples: list[Sample]) -> list[Sample] | None:
    """Return the last samples, as few as are enough to tell a leak from noise; None if there are not that many.

    The first sample is never one of them: it was taken before the first requests had filled what they fill.
    """
    last = samples[-1]
    for index in range(len(samples) - 2, 0, -1) if last.held else ():
        first = samples[index]
        enough = last.requests - first.requests >= WINDOW_REQUESTS_PER_WORKER * len(last.held)
        if enough and last.t - first.t >= WINDOW_S:
            return samples[index:]
    return None


def _slope(window: list[Sample]) -> float:
    """Return the growth of all workers together in bytes per request."""
    first, last = window[0], window[-1]
    return (sum(last.held.values()) - sum(first.held.values())) / (last.requests - first.requests)


def _is_flat(samples: list[Sample]) -> bool:
    window = _window(samples)
    return window is not None and _slope(window) < LEAK_BYTES_PER_REQUEST
