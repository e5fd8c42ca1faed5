"""Restarts: what ends is started again, and what is stopped stays stopped."""

from __future__ import annotations

import time

from pytest_deploycheck.charts import around
from pytest_deploycheck.check import check
from pytest_deploycheck.experiments.hangs import MARGIN_S, Hung, hang_workers
from pytest_deploycheck.experiments.kills import Killed, exit_cleanly, kill_server, kill_worker
from pytest_deploycheck.experiments.reloads import (
    LONG_PAUSE_S,
    NEW_RELEASE,
    CrashLoop,
    Reloaded,
    bring_broken_release,
    bring_new_release,
)
from pytest_deploycheck.experiments.stops import Stopped, stop_and_start
from pytest_deploycheck.need import Need
from pytest_deploycheck.outcome import Note
from pytest_deploycheck.probes.answer import is_good
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.probes.processes import describe
from pytest_deploycheck.probes.traffic import SteadyTraffic
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.workshop import Workshop

LOSS_WINDOW_S = 2.0


@check(
    "RST001",
    "a killed worker is replaced",
    expect="a new worker, as many as before, and no failed requests but those that the killed worker had",
    fix="let the server or the manager replace single workers, and the proxy retry refused connections",
    experiment=kill_worker,
    needs=(Need.REPLACEMENT,),
)
def check_killed_worker_is_replaced(experiment: Killed, note: Note) -> None:
    """SIGKILL one worker under steady traffic."""
    seen, lost = experiment, experiment.traffic.failed
    note.measured(
        recovered_s=round(seen.recovered_s, 2), requests=len(seen.traffic.answers), failed=len(lost)
    )
    assert seen.new_workers, f"no new worker; {seen.describe()}"
    assert len(seen.after.workers) == len(seen.before.workers), (
        f"another number of workers; {seen.describe()}"
    )
    assert len(seen.after.tree) <= len(seen.before.tree), f"more processes than before; {seen.describe()}"
    assert len(lost) <= 4, f"more requests failed than the worker can have had; {seen.describe()}"
    late = [answer for answer in lost if answer.start > seen.at + LOSS_WINDOW_S]
    assert not late, f"requests failed long after the kill; {seen.describe()}"


@check(
    "RST002",
    "a killed server is replaced",
    expect="the same manager says RUNNING, new processes answer, and no old process is left: all of these",
    fix="run the server so that its workers end with it; a manager that only sees the parent leaves orphans",
    experiment=kill_server,
    needs=(Need.MANAGER,),
)
def check_killed_server_is_replaced(experiment: Killed, note: Note) -> None:
    """SIGKILL the server's parent process."""
    seen = experiment
    note.measured(recovered_s=round(seen.recovered_s, 2), gap_s=round(seen.traffic.longest_gap_s(), 2))
    assert seen.after.manager == seen.before.manager, f"the manager itself died; {seen.describe()}"
    assert not seen.strays, f"old processes live on beside the new ones; {seen.describe()}"
    assert seen.running, f"the manager does not say RUNNING; {seen.describe()}"
    assert len(seen.new_workers) >= len(seen.before.workers), f"too few new workers; {seen.describe()}"
    assert seen.traffic.answers[-1].ok, f"no answers from the new ones; {seen.describe()}"


@check(
    "RST003",
    "a clean exit is restarted too",
    expect="the manager starts it again: a server has no reason to end with success",
    fix="restart whatever the exit status: with `on failure` or `unexpected` a clean exit leaves the app down",
    experiment=exit_cleanly,
    needs=(Need.MANAGER,),
)
def check_clean_exit_is_restarted(experiment: Killed, note: Note) -> None:
    """Let the server exit with status 0."""
    seen = experiment
    note.measured(recovered_s=round(seen.recovered_s, 2))
    assert seen.after.servers - seen.before.servers, f"nothing was started in its place; {seen.describe()}"
    assert seen.running, f"the manager does not say RUNNING; {seen.describe()}"
    assert len(seen.after.workers) >= len(seen.before.workers), f"too few workers; {seen.describe()}"


@check(
    "RST004",
    "a hung worker is replaced",
    expect="both are ended within [tool.deploycheck] hang_timeout_s, and replaced",
    fix="let something outside of the worker watch a sign of life that its event loop gives: the server's timeout, "
    "a watchdog, a liveness probe",
    experiment=hang_workers,
    needs=(Need.REPLACEMENT,),
)
def check_hung_worker_is_replaced(experiment: Hung, note: Note) -> None:
    """Block the event loop of one worker, and send SIGSTOP to another."""
    seen, timeout_s = experiment, experiment.stack.config.hang_timeout_s
    note.measured(gone_s={act: gone and round(gone, 1) for act, gone in seen.gone_s.items()})
    for act, gone_s in seen.gone_s.items():
        assert gone_s is not None, (
            f"the worker with {act} was still there after {timeout_s + MARGIN_S:.0f} s; "
            f"hang_timeout_s is {timeout_s}"
        )
    assert seen.recovered, (
        f"workers {sorted(seen.before.workers)} before, {sorted(seen.after.workers)} afterwards"
    )


@check(
    "RST005",
    "an error costs one request",
    expect="status 500, and the same processes afterwards",
    fix="let the framework turn exceptions into 500; nothing in the app may end the process",
)
def check_error_costs_one_request(stack: Stack, note: Note) -> None:
    """Raise an exception that nobody handles, in a request."""
    before = stack.processes()
    statuses = [stack.entry.status(f"{MARK}raise") for _ in range(2 * len(before.workers))]
    after = stack.processes()
    note.did(f"{len(statuses)} requests that raise RuntimeError")
    assert set(statuses) == {500}, f"the requests were answered with {statuses}"
    assert after == before, f"workers {sorted(before.workers)} before, {sorted(after.workers)} afterwards"


@check(
    "RST006",
    "a crash loop is bounded",
    expect=f"a pause of about {LONG_PAUSE_S:.0f} s before long, or a manager that says that it has given up",
    fix="let the pauses between the attempts grow, or end the attempts, so that the state is seen and the CPU is free",
    experiment=bring_broken_release,
    needs=(Need.LOOP,),
)
def check_crash_loop_is_bounded(experiment: CrashLoop, note: Note) -> None:
    """Put a release in place that ends at once when it is started, and kill the server."""
    seen = experiment
    note.measured(crashes=seen.crashes, longest_pause_s=round(seen.longest_pause_s, 1), gave_up=seen.gave_up)
    assert seen.gave_up or seen.longest_pause_s >= LONG_PAUSE_S, (
        f"{seen.crashes} crashes in {seen.took_s:.0f} s, and no pause between them; in the end: {seen.state}"
    )


@check(
    "RST007",
    "stop means stopped",
    expect="all processes of the app are gone within the manager's grace time, and its address is free",
    fix="exec the server in start scripts, so that signals reach it; start nothing that outlives it",
    experiment=stop_and_start,
)
def check_stop_means_stopped(experiment: Stopped, note: Note) -> None:
    """Stop the app through the manager."""
    seen, grace_s = experiment, experiment.stack.stop_grace_s
    note.measured(took_s=round(seen.took_s, 2), grace_s=grace_s)
    assert seen.took_s <= grace_s + 1, f"took {seen.took_s:.1f} s, the grace is {grace_s:.0f} s"
    assert not seen.left, f"still alive after the stop: {describe(seen.left)}"
    assert not seen.accepting, "the app's own address still takes connections"


@check(
    "RST008",
    "a stop lets requests finish",
    expect="200 for the request in flight, and the lifespan shutdown of each worker has run",
    fix="a graceful stop signal, and more time for it than the slowest request takes",
    experiment=stop_and_start,
)
def check_stop_lets_requests_finish(experiment: Stopped, note: Note) -> None:
    """Stop the app through the manager while it answers a slow request."""
    seen = experiment
    note.measured(slow_request_s=round(seen.slow.end - seen.slow.start, 2), took_s=round(seen.took_s, 2))
    assert seen.slow.start < seen.heard_at < seen.slow.end, (
        "the slow request was not in flight when the stop began"
    )
    assert seen.slow.status == 200, f"the request in flight ended with {seen.slow.status}"
    has_lifespan = experiment.stack.copy.events.named("lifespan.startup.complete")
    missing = seen.before.workers - seen.shut_down if has_lifespan else frozenset()
    assert not missing, f"no lifespan shutdown in workers {sorted(missing)}: killed, or stopped without grace"


@check(
    "RST009",
    "a new release drops nobody",
    expect="0 failed requests, all workers new, and all of them run the new code",
    fix="start new workers before the old ones end, or replace one after the other; "
    "let each worker import the app itself, not the server's parent",
    experiment=bring_new_release,
)
def check_new_release_drops_nobody(experiment: Reloaded, note: Note) -> None:
    """Change the app's code and run the project's reload command under steady traffic."""
    seen = experiment
    note.measured(
        took_s=round(seen.took_s, 2),
        requests=len(seen.traffic.answers),
        gap_s=round(seen.traffic.longest_gap_s(), 2),
    )
    assert seen.finished.status == 0, f"{seen.describe()}\n{seen.finished.tail()}"
    kept = seen.before.workers & seen.after.workers
    assert not kept, f"workers {sorted(kept)} are still the old ones; {seen.describe()}"
    assert len(seen.after.workers) >= len(seen.before.workers), f"too few workers; {seen.describe()}"
    old = [pid for pid, number in seen.releases.items() if number != NEW_RELEASE]
    assert seen.releases, f"no worker answered; {seen.describe()}"
    assert not old, f"new workers {sorted(old)} run the old code; {seen.describe()}"
    assert not seen.traffic.failed, f"requests failed; {seen.describe()}"


@check(
    "RST010",
    "alive and ready are different",
    expect="liveness 200 all the time; readiness 503 without the database, then 200; requests are answered again; "
    "no process restarted",
    fix="liveness asks only whether the process answers; readiness asks the database each time; connections that have "
    "died are replaced",
    needs=(Need.READINESS,),
)
def check_alive_and_ready_are_different(workshop: Workshop, stack: Stack, note: Note) -> None:
    """Take the database away under steady traffic, and give it back."""
    entry, requests = stack.entry, stack.config.requests
    before = stack.processes()
    with (
        SteadyTraffic(entry, requests.live, clients=1) as liveness,
        SteadyTraffic(entry, requests.ready, clients=1) as readiness,
        SteadyTraffic(entry, requests.read, clients=2) as reads,
    ):
        taken = time.monotonic()
        with stack.database.away(stack.copy):
            away = wait_for(lambda: entry.status(requests.ready), lambda status: status == 503, deadline_s=5)
            liveness.wait_for_any(5)
        given = time.monotonic()
        back = wait_for(lambda: entry.status(requests.ready), is_good, deadline_s=10)
        again = wait_for(lambda: _last_are_good(reads, 6 * len(before.workers)), bool, deadline_s=10)
        readiness.wait_for_good(2, deadline_s=2)
    after = stack.processes()
    if not again:
        workshop.gentle.end()  # other checks would ask it in vain
    moments = [(taken, "the database is taken away"), (given, "it is given back")]
    lines = {"liveness": liveness, "readiness": readiness, "reading": reads}
    answers = {name: traffic.time_line.answers for name, traffic in lines.items()}
    expected = {"readiness": [503], "reading": [500, 502, 503, 504]}
    note.drew(around("requests without the database", answers, moments, expected=expected))
    note.did(
        f"readiness said {away} without the database and {back} with it; liveness: {liveness.time_line.summary()}"
    )
    assert away == 503, f"readiness said {away} without the database"
    assert not liveness.time_line.failed, (
        f"liveness failed without the database: {liveness.time_line.summary()}"
    )
    assert is_good(back), f"readiness said {back} after the database was back"
    assert again, f"with the database back, requests go on failing: {reads.time_line.summary()}"
    assert after == before, f"workers {sorted(before.workers)} were restarted"


def _last_are_good(traffic: SteadyTraffic, count: int) -> bool:
    """Tell whether the last answers were all good: with so many, each worker has given some."""
    return all(answer.ok for answer in traffic.time_line.answers[-count:])


@check(
    "RST011",
    "the health check can go red",
    expect="healthy while it serves; unhealthy while the app is stopped, and while the database is away; where the "
    "manager asks something else, unhealthy while no worker answers",
    fix="let the check ask readiness, and end with its verdict: not with that of the last command in a pipe",
    experiment=stop_and_start,
    needs=(Need.READINESS,),
)
def check_health_check_can_go_red(experiment: Stopped, note: Note) -> None:
    """Run the project's health check while the app serves, while it is stopped, and while its database is away."""
    for when, seen in experiment.health.items():
        note.did(f"{when}: {seen.said}")
        wanted = "healthy" if seen.expected else "unhealthy"
        assert seen.healthy == seen.expected, f"not {wanted} {when}: {seen.said}"
