"""Several starters do the previous steps on one database at the same time."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.outcome import NotApplicable
from pytest_deploycheck.probes.quiet import Quiet
from pytest_deploycheck.sandbox.run import Finished, ProjectCopy
from pytest_deploycheck.workshop import Workshop

STARTERS = 4
# Processes that are quiet for so long wait for each other.
QUIET_S = 0.6


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """The previous steps were done by several starters at once, on one fresh database.

    Attributes:
        steps: what was done.
        runs: how each of them ended.
        met: how many had read the database's revision before any of them acted on what it had read.
        applied: how often each revision was applied.
        alone: how the same ends without the others, on another database; only if one of them failed.
    """

    steps: tuple[str, ...]
    runs: tuple[Finished, ...]
    met: int
    applied: Counter[str]
    alone: Finished | None

    @property
    def failed(self) -> list[Finished]:
        """Those that did not succeed."""
        return [run for run in self.runs if run.status != 0]


@lane(Lane.OWN)
def previous_steps_of_many(workshop: Workshop) -> Crowd:
    """Run the project's own command for the previous steps several times at once.

    Each run is held where it has read the database's revision, until all have, or the others wait for a lock. So
    steps without a lock collide for certain, however fast or slow the machine is.

    Raises:
        NotApplicable: the previous steps are no command of their own.
    """
    command = workshop.config.previous_steps
    if command is None:
        raise NotApplicable(
            "the previous steps are no command of their own: [tool.deploycheck] previous_steps names one"
        )
    copy = workshop.run.copy()
    gate = copy.root.with_suffix(".gate")
    call, environment = workshop.commands_of(copy)
    extra = {**workshop.config.env, **environment, "DEPLOYCHECK_GATE": str(gate)}
    runs: list[Finished] = []
    threads = [
        threading.Thread(target=lambda: runs.append(call(command, extra)), daemon=True)
        for _ in range(STARTERS)
    ]
    for thread in threads:
        thread.start()
    _open_when_all_wait(copy, gate, threads)
    opened = time.monotonic()
    for thread in threads:
        thread.join()
    alone = None
    if any(run.status != 0 for run in runs):
        other = workshop.run.copy()
        call, environment = workshop.commands_of(other)
        alone = call(command, {**workshop.config.env, **environment})
    return Crowd(
        steps=(f"{command}, {STARTERS} times at once on one fresh database",),
        runs=tuple(runs),
        met=len(copy.events.named("gate", until=opened)),
        applied=Counter(event.data["id"] for event in copy.events.named("revision") if event.data["up"]),
        alone=alone,
    )


def _open_when_all_wait(copy: ProjectCopy, gate: Path, threads: Iterable[threading.Thread]) -> None:
    """Open the gate once all are at it, or some are and the others sleep; return then, or when all have ended."""
    quiet = Quiet(copy.pids)
    while any(thread.is_alive() for thread in threads):
        waiting = len(copy.events.named("gate"))
        if waiting == STARTERS or (quiet.look() > QUIET_S and waiting):
            break
        time.sleep(0.05)
    gate.touch()
