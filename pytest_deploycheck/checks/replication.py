"""Replication: as many processes as promised, and nobody can tell which one answers."""

from __future__ import annotations

import time
from collections import Counter
from urllib.parse import urljoin

import httpx2

from pytest_deploycheck.charts import BarChart
from pytest_deploycheck.check import check
from pytest_deploycheck.experiments.replicas import Rescaled, one_more_worker
from pytest_deploycheck.need import Need
from pytest_deploycheck.outcome import Blocked, NotApplicable, Note
from pytest_deploycheck.probes.cpus import cpus
from pytest_deploycheck.probes.elsewhere import by_place
from pytest_deploycheck.probes.http import Entry
from pytest_deploycheck.probes.repeat import Repeated
from pytest_deploycheck.probes.saturation import Load, load
from pytest_deploycheck.probes.traffic import gather
from pytest_deploycheck.probes.workers import answering, signature
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import Start

WORKERS_DEADLINE_S = 8.0
READS = 16
READ_DEADLINE_S = 8.0
LEAST_SHARE = 0.25
AFTERWARDS_S = 0.5
# For administrators, backups and monitoring; at least what PostgreSQL keeps for superusers.
RESERVED_CONNECTIONS = 3
LINES_FOR_POOLS = 24
POOLS_S = 1.0


@check(
    "REP001",
    "the promised workers serve",
    expect="as many processes answer as [tool.deploycheck] workers says: all of them, and no more",
    fix="start exactly as many workers as the setting says; a server that reads it too may multiply them",
    needs=(Need.WORKERS,),
)
def check_promised_workers_serve(stack: Stack, note: Note) -> None:
    """Send many requests at once, each over a new connection, until each worker has answered."""
    promised, there = stack.config.workers, stack.processes().workers
    answers = answering(stack.entry, wanted=max(promised, len(there)), deadline_s=WORKERS_DEADLINE_S)
    note.measured(answers_by_pid={str(pid): count for pid, count in sorted(answers.items())})
    assert len(answers) == promised, (
        f"{promised} workers are promised, {len(answers)} answered: {_counts(answers)}; "
        f"processes that have the app loaded: {sorted(there)}"
    )


@check(
    "REP002",
    "the setting is obeyed",
    expect="with another number in the setting, that many processes answer",
    fix="take the number of workers from the setting in every place, and write it nowhere else",
    experiment=one_more_worker,
)
def check_worker_setting_is_obeyed(experiment: Rescaled, note: Note) -> None:
    """Start with one worker more, and send many requests at once, each over a new connection."""
    seen = experiment
    if seen.wanted is None:
        raise NotApplicable(
            'the number of workers is no setting: [tool.deploycheck] workers = "$NAME" names one'
        )
    start = seen.again or seen.start
    note.measured(wanted=seen.wanted, answered=len(seen.answers))
    assert start.served, f"it does not serve with {seen.wanted} workers: {start.describe()}"
    assert len(seen.answers) == seen.wanted, (
        f"{seen.wanted} workers were asked for, {len(seen.answers)} answered: {_counts(seen.answers)}"
    )


@check(
    "REP003",
    "no worker starves",
    expect=f"each worker answers at least {LEAST_SHARE:.0%} of what would be its fair share",
    fix="let the kernel or the proxy choose a worker for each connection or request, and let none block while it works",
)
def check_no_worker_starves(quiet_stack: Stack, saturation: Load, note: Note) -> None:
    """Send as many requests as are answered, and count whose answers they are."""
    workers, answers = quiet_stack.processes().workers, saturation.by_worker
    note.did(
        f"requests to {quiet_stack.config.requests.read} over {saturation.lines} connections "
        f"for {saturation.seconds:.1f} s"
    )
    note.measured(answers_by_pid={str(pid): answers[pid] for pid in sorted(workers | answers.keys())})
    if not answers:
        raise Blocked("no answer told which worker made it")
    bars = {f"worker {pid}": {"answers": float(answers[pid])} for pid in sorted(workers | answers.keys())}
    note.drew(BarChart(title="answers of each worker", unit="answers", bars=bars))
    least = LEAST_SHARE * answers.total() / len(workers)
    starving = sorted(pid for pid in workers if answers[pid] < least)
    assert not starving, (
        f"of {answers.total()} answers {_counts(answers)}; a fair share is {answers.total() // len(workers)}, "
        f"and {', '.join(f'worker {pid}' for pid in starving)} gave less than {least:.0f}"
    )


@check(
    "REP004",
    "answers do not depend on the worker",
    expect="what one worker has written, each worker reads, and all of them say the same",
    fix="keep what is written where all workers see it: a database or a cache server, no variable, no local file",
)
def check_answers_do_not_depend_on_the_worker(stack: Stack, note: Note) -> None:
    """Write something, and read it over new connections until each worker has answered."""
    write, entry, workers = stack.config.requests.write, stack.entry, stack.processes().workers
    if write is None:
        raise NotApplicable("no request that writes is declared: [tool.deploycheck.requests] write")
    written = entry.request("POST", write.path, json=write.json)
    location = written.headers.get("Location")
    assert written.status_code == 201, f"POST {write.path} was answered with {written.status_code}, not 201"
    assert location, f"POST {write.path} was answered with 201, but without a Location to read it back from"
    path = entry.path_of(urljoin(entry.prefix + write.path, location))
    seen = _read_everywhere(entry, path, workers)
    statuses = {pid: sorted({status for status, _ in answers}) for pid, answers in seen.items()}
    note.did(
        f"POST {write.path} was answered by worker {signature(written)}; then GET {path} again and again"
    )
    note.measured(reads_by_pid={str(pid): answers.total() for pid, answers in seen.items()})
    assert all(found == [200] for found in statuses.values()), (
        f"after a write by worker {signature(written)}, GET {path} was answered with: {_by_worker(statuses)}"
    )
    # An answer that changes from one request to the next in the same worker holds a time or the like.
    steady = {next(iter(answers))[1] for answers in seen.values() if len(answers) == 1}
    assert len(steady) <= 1, (
        f"workers tell different things of {path}: {[body[:200] for body in sorted(steady)]}"
    )
    unseen = workers - seen.keys() if any(seen) else frozenset[int]()
    if unseen:
        raise Blocked(f"workers {sorted(unseen)} did not answer one of the reads (see REP001)")


@check(
    "REP005",
    "one-off work is done once",
    expect="from the start command until all workers serve, each function in [tool.deploycheck] once is called once; "
    "where each pod or task does the previous steps, once by each",
    fix="call it where a deployment does something once, as in the previous steps: what an app does at import or in "
    "its lifespan, each worker does",
)
def check_one_off_work_is_done_once(stack: Stack, first_start: Start, note: Note) -> None:
    """Count the calls from the start command until a moment after the last worker came up."""
    names = stack.config.once
    if not names:
        raise NotApplicable("no one-off work is declared: [tool.deploycheck] once")
    events = first_start.stack.copy.events
    ups = sorted(event.t for event in events.named("worker", since=first_start.began))
    until = ups[: stack.config.workers][-1] + AFTERWARDS_S
    # Work that a worker begins in the background comes a little later.
    time.sleep(max(0.0, until - time.monotonic()))
    calls = events.named("once", since=first_start.began, until=until)
    for name in names:
        pids = [event.pid for event in calls if event.data["function"] == name]
        note.measured(**{name: len(pids)})
        assert 1 <= len(pids) <= first_start.stack.starters, (
            f"{name} was called {len(pids)} times, by {', '.join(f'pid {pid}' for pid in pids) or 'nobody'}; "
            f"the workers are {sorted(first_start.stack.processes().workers)}"
        )


@check(
    "REP006",
    "the worker count fits the machine",
    expect="between one worker and two for each CPU and one more, with the CPUs that affinity and control group give",
    fix="take the number of workers from the CPUs that the process may use, not from those that the machine has",
)
def check_worker_count_fits_the_machine(stack: Stack, note: Note) -> None:
    """Ask the kernel how many CPUs the workers may use, and count the workers."""
    # Each container elsewhere has its own CPUs: the one counts that has fewest for its workers.
    places = [(len(pids), min(map(cpus, pids))) for pids in by_place(stack.processes().workers)]
    workers, usable = max(places, key=lambda place: place[0] / place[1], default=(0, 1.0))
    most = int(2 * usable + 1)
    note.measured(workers=workers, cpus=usable, most=most)
    assert 1 <= workers <= most, f"{workers} workers share {usable:g} CPUs; 2 x CPUs + 1 would be {most}"


@check(
    "REP007",
    "the database can take the pool",
    expect="at the peak of a load, the app has at most max_connections less a reserve of the database's connections",
    fix="pool_size and max_overflow for each worker: all that the app may have, divided by the number of workers",
)
def check_database_can_take_the_pool(quiet_stack: Stack, note: Note) -> None:
    """Send more requests at once than the workers can answer, and count the database's connections."""
    stack, seen = quiet_stack, list[int]()
    limit = stack.config.max_connections or stack.database.max_connections(stack.copy)
    allowed = limit - max(RESERVED_CONNECTIONS, limit // 10)

    def count() -> None:
        seen.append(stack.database.connections(stack.copy))

    count()
    lines = LINES_FOR_POOLS * stack.config.workers
    with Repeated([count], pause_s=0.05):
        load(stack, stack.config.requests.read, lines=lines, seconds=POOLS_S)
    note.did(f"GET {stack.config.requests.read} over {lines} connections for {POOLS_S:.0f} s")
    note.measured(peak=max(seen), max_connections=limit, allowed=allowed)
    assert max(seen) <= allowed, (
        f"the app had {max(seen)} connections to the database, which takes {limit}, "
        f"{limit - allowed} of them for others"
    )


def _read_everywhere(
    entry: Entry, path: str, workers: frozenset[int]
) -> dict[int, Counter[tuple[int, bytes]]]:
    """Read until each worker has answered; count status and body by pid, 0 where a response does not tell it."""
    seen: dict[int, Counter[tuple[int, bytes]]] = {}
    end = time.monotonic() + READ_DEADLINE_S
    while not seen or (any(seen) and not seen.keys() >= workers and time.monotonic() < end):
        for response in gather(lambda: entry.get(path), count=READS, threads=READS // 2):
            assert isinstance(response, httpx2.Response)
            answer = (response.status_code, response.content)
            seen.setdefault(signature(response) or 0, Counter()).update([answer])
    return seen


def _counts(answers: Counter[int]) -> str:
    return ", ".join(f"pid {pid} ({count} times)" for pid, count in sorted(answers.items())) or "none"


def _by_worker(statuses: dict[int, list[int]]) -> str:
    return ", ".join(
        f"worker {pid or 'unknown'}: {' and '.join(map(str, found))}"
        for pid, found in sorted(statuses.items())
    )
