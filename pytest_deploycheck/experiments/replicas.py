"""The same files with another number of workers, as a new release that brings a long migration."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import dataclass, replace

from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.experiments.migrations import walk_migrations
from pytest_deploycheck.experiments.releases import append_revision
from pytest_deploycheck.outcome import NotApplicable, NotVerified
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.probes.workers import answering
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import Start, start_and_watch
from pytest_deploycheck.workshop import Workshop

WORKERS_DEADLINE_S = 10.0
LONG_REVISION = "deploycheck_long"
LONGER_S = 2.0


@dataclass(frozen=True, kw_only=True)
class LongMigration:
    """One more migration, which does nothing but take its time.

    Attributes:
        takes_s: how long; longer than the manager gives the app to come up.
        applied_s: seconds from the start command until it had ended; None = never.
    """

    takes_s: float
    applied_s: float | None


@dataclass(frozen=True, kw_only=True)
class Rescaled:
    """A stack was started with another number of workers than the project's own, and with a long migration.

    Attributes:
        stack: the stack; if it serves, the next experiments of this lane use it.
        steps: what was done.
        wanted: how many workers were asked for, in all replicas; None if their number is no setting.
        migration: None if the project's migrations let none follow.
        start: what was seen of the start.
        again: what was seen of a second start, in which the migration was short, if the first did not serve.
        answers: how often each process answered, at the start that served.
    """

    stack: Stack
    steps: tuple[str, ...]
    wanted: int | None
    migration: LongMigration | None
    start: Start
    again: Start | None
    answers: Counter[int]


@lane(Lane.RESCALED, brings_stack=True, uses=(walk_migrations,))
def one_more_worker(workshop: Workshop) -> Rescaled:
    """Start a release with one worker more than each replica of the project has, and with a long migration.

    Two questions to one start. If it does not serve, a second one without the long migration tells which of both it
    was.
    """
    config = workshop.config
    copy = workshop.run.copy()
    values: dict[str, str] = {}
    steps: list[str] = []
    wanted = None
    if name := config.settings.get("workers"):
        each = config.workers // config.replicas
        wanted = (each + 1) * config.replicas
        values[name] = str(each + 1)
        if (copy.root / config.env_file).is_file():
            with (copy.root / config.env_file).open("a", encoding="utf-8") as file:
                file.write(f"\n{name}={each + 1}\n")
        steps.append(f"start with {name}={each + 1} instead of {each}, on a stack of its own")
    stack = workshop.stack(values, copy=copy)
    takes_s = stack.start_grace_s + LONGER_S
    is_long = _append(workshop, copy, f"time.sleep({takes_s})")
    if is_long:
        steps.append(f"and with a migration that takes {takes_s:.0f} s")
    again = None
    start = start_and_watch(stack)
    applied_s = _applied_s(start, takes_s) if is_long else None
    if is_long and not start.served:
        stack.end()
        _append(workshop, copy, "pass")
        again = start_and_watch(stack)
    last = again or replace(start, held_up_s=takes_s if is_long else 0.0)
    answers = Counter[int]()
    if wanted and last.served:
        answers = answering(stack.entry, wanted=wanted, deadline_s=WORKERS_DEADLINE_S)
    workshop.rescaled.adopt(last)
    return Rescaled(
        stack=stack,
        steps=tuple(steps),
        wanted=wanted,
        migration=LongMigration(takes_s=takes_s, applied_s=applied_s) if is_long else None,
        start=start,
        again=again,
        answers=answers,
    )


def _append(workshop: Workshop, copy: ProjectCopy, body: str) -> bool:
    """Append the revision; tell whether one can be appended at all."""
    with contextlib.suppress(NotApplicable, NotVerified):
        migrations = workshop.result_of(walk_migrations)
        if migrations.error is None and len(migrations.heads) == 1:
            append_revision(copy, migrations, LONG_REVISION, body)
            return True
    return False


def _applied_s(start: Start, takes_s: float) -> float | None:
    """Return when the long migration had ended; where the app serves, it may still run."""
    events = wait_for(
        lambda: [
            event
            for event in start.stack.copy.events.named("revision", since=start.began)
            if event.data["id"] == LONG_REVISION
        ],
        bool,
        deadline_s=takes_s + 2 if start.served else 0,
    )
    return events[0].t - start.began if events else None
