"""Previous steps before starting: done once, before anything is served, all of it or nothing."""

from __future__ import annotations

import functools
from collections import Counter

from pytest_deploycheck.check import check as any_check
from pytest_deploycheck.experiments.crowds import Crowd, previous_steps_of_many
from pytest_deploycheck.experiments.kills import Killed, kill_server, kill_worker
from pytest_deploycheck.experiments.migrations import Migrations, upgrade_runs, walk_migrations
from pytest_deploycheck.experiments.releases import start_broken_release
from pytest_deploycheck.experiments.replicas import Rescaled, one_more_worker
from pytest_deploycheck.need import Need
from pytest_deploycheck.outcome import Blocked, NotApplicable, Note
from pytest_deploycheck.stacks.protocol import Stack, StackError
from pytest_deploycheck.start import Start
from pytest_deploycheck.workshop import Workshop

NO_OP_S = 2.0

check = functools.partial(any_check, needs=(Need.MIGRATIONS,))


@check(
    "PRE001",
    "the schema is ready first",
    expect="the database is at the newest revision before the first request is answered",
    fix="migrate to head in the start command, before the server, and let a failure stop it",
)
def check_schema_is_ready_first(workshop: Workshop, note: Note) -> None:
    """Start on an empty database, and look at its schema when the first request is answered."""
    start = _alive(workshop)
    heads = workshop.result_of(walk_migrations).heads
    events = start.stack.copy.events
    first = min((event.t for event in events.named("request")), default=start.began + (start.alive_s or 0))
    late = [event.data["id"] for event in events.named("revision", since=first)]
    note.did(f"first request {first - start.began:.2f} s after the start command")
    note.measured(first_request_s=round(first - start.began, 2), version=start.version_when_alive)
    assert start.version_when_alive in heads, (
        f"the app answered with the schema at revision {start.version_when_alive}, head is {', '.join(heads)}"
    )
    assert not late, f"revisions {late} were applied after the first request had been answered"


def _alive(workshop: Workshop) -> Start:
    if workshop.config.database_url is None:
        raise NotApplicable("the project declares no database: [tool.deploycheck] database_url")
    try:
        start = workshop.first_start
    except StackError as error:
        raise Blocked(f"the stack cannot be run (see BOOT002): {error}") from None
    if start.alive_s is None:
        raise Blocked(f"the app never answered (see BOOT002): {start.describe()}")
    return start


@check(
    "PRE002",
    "previous steps run once",
    expect="one run of `alembic upgrade`, whatever the number of workers; where each pod or task does them first, one "
    "for each, and each revision applied by one of them",
    fix="run them in the start command, not in each worker: not in lifespan, post_fork or at import",
)
def check_previous_steps_run_once(workshop: Workshop, stack: Stack, first_start: Start, note: Note) -> None:
    """Count the runs of `alembic upgrade` from the start command until all workers serve."""
    workshop.result_of(walk_migrations)
    start = first_start.must_serve()
    copy = start.stack.copy
    workers = copy.events.named("worker")[: stack.config.workers]
    until = max([start.began + (start.ready_s or 0), *(event.t for event in workers)])
    runs = upgrade_runs(copy, since=start.began, until=until)
    note.measured(runs=len(runs), workers=len(workers))
    pids = ", ".join(f"{run.at - start.began:.2f} s (pid {run.pid})" for run in runs)
    assert runs, "no run of `alembic upgrade` was seen"
    most = start.stack.starters
    assert len(runs) <= most, f"{len(runs)} runs with {len(workers)} workers: {pids} after the start command"
    events = copy.events.named("revision", since=start.began, until=until)
    applied = Counter(event.data["id"] for event in events)
    twice = [revision for revision, count in applied.items() if count > 1]
    assert not twice, f"revisions {', '.join(twice)} were applied by more than one of {len(runs)} runs"


@check(
    "PRE003",
    "many starters do not collide",
    expect="all of them succeed, and each revision is applied once",
    fix="take a lock of the database before its revision is read, and keep it until the end of the last migration",
    experiment=previous_steps_of_many,
)
def check_many_starters_do_not_collide(experiment: Crowd, note: Note) -> None:
    """Do the previous steps several times at once on one fresh database, each held where it has read the revision."""
    seen = experiment
    if seen.alone is not None and seen.alone.status != 0:
        raise Blocked(f"the previous steps fail without any other starter too: {seen.alone.reason}")
    note.did(f"{seen.met} of {len(seen.runs)} had read the revision when the first went on")
    note.measured(starters=len(seen.runs), met=seen.met, applied=dict(seen.applied))
    assert not seen.failed, (
        f"{len(seen.failed)} of {len(seen.runs)} failed, the first with: {seen.failed[0].reason}"
    )
    twice = [revision for revision, count in seen.applied.items() if count > 1]
    assert not twice, f"revisions {', '.join(twice)} were applied by more than one of them"


@check(
    "PRE004",
    "a failed step stops the start",
    expect="the new release does not start, the schema is as before, and the running release answers all the while",
    fix="set -e in the start script, nothing like `|| true`; one transaction for all that a migration does",
)
def check_failed_step_stops_the_start(workshop: Workshop, stack: Stack, note: Note) -> None:
    """Start a new release, with a revision that makes a table and then fails, on the running release's database."""
    migrations = workshop.result_of(walk_migrations)
    seen = start_broken_release(workshop, stack, migrations)
    if seen.half_applied or seen.version_before != seen.version_after:
        workshop.gentle.end()  # its database is no longer what other checks expect
    note.drew(*seen.charts)
    note.did(f"the new release's start: {seen.start.describe().splitlines()[0]}", seen.traffic.summary())
    note.measured(took_s=round(seen.start.took_s, 2), requests=len(seen.traffic.answers))
    assert seen.start.refused, f"the new release started though {seen.start.what}: {seen.start.describe()}"
    assert not seen.half_applied, f"half applied: {', '.join(seen.half_applied)} in the schema changed"
    assert seen.version_before == seen.version_after, (
        f"the noted revision went from {seen.version_before} to {seen.version_after}"
    )
    assert not seen.traffic.failed, f"the running release failed meanwhile: {seen.traffic.summary()}"


@check(
    "PRE005",
    "restarts do not repeat them",
    expect=f"no run after a worker or the server was killed, or a run without work in less than {NO_OP_S:.0f} s",
    fix="run the steps at the start of a deployment, not of a process; let them find out quickly that all is done",
    experiment=kill_server,
)
def check_restarts_do_not_repeat_them(workshop: Workshop, experiment: Killed, note: Note) -> None:
    """SIGKILL a worker, and the server, and look for runs of `alembic upgrade`."""
    workshop.result_of(walk_migrations)
    for killed in (workshop.result_of(kill_worker), experiment):
        copy, until = killed.stack.copy, killed.at + killed.recovered_s
        runs = upgrade_runs(copy, since=killed.at, until=until)
        again = [event.data["id"] for event in copy.events.named("revision", since=killed.at, until=until)]
        note.did(f"{killed.steps[-1]}: {len(runs)} runs")
        assert not again, f"after the {killed.steps[-1]} the revisions {again} were applied again"
        slow = [run for run in runs if run.took_s is None or run.took_s >= NO_OP_S]
        assert not slow, f"after the {killed.steps[-1]} a run with nothing to do took {slow[0].took_s} s"


@check(
    "PRE006",
    "models and migrations agree",
    expect="one head, and `alembic check` finds nothing to add",
    fix="alembic revision --autogenerate for what is missing; alembic merge for two heads",
    experiment=walk_migrations,
)
def check_models_and_migrations_agree(experiment: Migrations, note: Note) -> None:
    """Bring an empty database to head and compare it with the models."""
    note.measured(revisions=len(experiment.revisions), heads=list(experiment.heads))
    assert len(experiment.heads) == 1, f"{len(experiment.heads)} heads: {', '.join(experiment.heads)}"
    if experiment.error:
        raise Blocked(f"an empty database cannot be brought to head (see PRE007): {experiment.error}")
    if experiment.drift == "":
        raise NotApplicable("migrations/env.py gives Alembic no target_metadata to compare with")
    assert experiment.drift is None, f"the models are not what the migrations make: {experiment.drift}"


@check(
    "PRE007",
    "every migration goes up, down and up",
    expect="the same schema at each return, and nothing left at the base",
    fix="write a downgrade that undoes its upgrade; on SQLite in batch mode",
    experiment=walk_migrations,
)
def check_every_migration_goes_up_down_and_up(experiment: Migrations, note: Note) -> None:
    """Go up, and down step by step, each step down, up and down again, on a database of its own."""
    note.measured(revisions=len(experiment.revisions))
    assert experiment.error is None, experiment.error
    assert experiment.broken is None, experiment.broken


@check(
    "PRE008",
    "the old release runs on the new schema",
    expect="each SELECT, INSERT, UPDATE and DELETE that works on the schema before still works on the newest",
    fix="first add (nullable, or with a default), release, and remove what is old with a later release",
    experiment=walk_migrations,
    should=True,
)
def check_old_release_runs_on_the_new_schema(experiment: Migrations, note: Note) -> None:
    """Send what a release of the revision before sends, with its columns only, to the schema of the newest one."""
    if experiment.error:
        raise Blocked(f"an empty database cannot be brought to head (see PRE007): {experiment.error}")
    if len(experiment.heads) != 1:
        raise Blocked(f"which schema is the newest? There are {len(experiment.heads)} heads (see PRE006)")
    old = experiment.old_release
    if old is None:
        raise NotApplicable("no single revision comes before the newest one")
    note.did(f"{old.statements} statements of a release at revision {old.revision}, at {experiment.heads[0]}")
    note.measured(statements=old.statements, failed=len(old.failed))
    assert not old.failed, f"{len(old.failed)} of {old.statements} fail now: " + "; ".join(old.failed[:5])


@check(
    "PRE009",
    "a long migration is not killed",
    expect="the migration ends, and then the app is served",
    fix="migrate before the server starts, with no time limit: outside of what is given only some seconds to come up",
    experiment=one_more_worker,
)
def check_long_migration_is_not_killed(workshop: Workshop, experiment: Rescaled, note: Note) -> None:
    """Start a new release with a migration that takes longer than the manager gives the app to come up."""
    workshop.result_of(walk_migrations)
    long, again = experiment.migration, experiment.again
    if long is None:
        raise Blocked("no revision can follow where the migrations do not work (see PRE006, PRE007)")
    if again is not None and not again.served:
        raise Blocked(
            f"the same is not served with a short migration either (see REP002): {again.describe()}"
        )
    start = experiment.start
    note.measured(migration_s=long.takes_s, applied_s=long.applied_s, ready_s=start.ready_s)
    assert long.applied_s is not None, (
        f"the migration of {long.takes_s:.0f} s was not done: {start.describe()}"
    )
    assert start.served, f"the migration ended after {long.applied_s:.1f} s, and then: {start.describe()}"
