"""The database comes up after the app."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace

from pytest_deploycheck.charts import RequestChart
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.probes.quiet import Quiet
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.values import set_value
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import READY_DEADLINE_S, Start, start_and_watch
from pytest_deploycheck.workshop import Workshop

LATE_S = 5.0
LATEST_S = 20.0
QUIET_S = 1.0


@dataclass(frozen=True, kw_only=True)
class LateDatabase:
    """A stack was started while its database was not there; that came some seconds later.

    Attributes:
        stack: the stack; it goes on running if it serves, for the next experiments of this lane.
        steps: what was done.
        start: what was seen from the start command on.
        arrived_s: when the database came, in seconds from the start command on; None if it ended before.
        running: whether the manager said in the end that all runs.
        state: what the manager said.
    """

    stack: Stack
    steps: tuple[str, ...]
    start: Start
    arrived_s: float | None
    running: bool
    state: str

    @property
    def charts(self) -> list[RequestChart]:
        """What was asked, from the start command on."""
        arrival = [(round(self.arrived_s, 3), "the database comes")] if self.arrived_s else []
        return [replace(chart, moments=sorted([*chart.moments, *arrival])) for chart in self.start.charts]


@lane(Lane.LATE, brings_stack=True)
def start_before_database(workshop: Workshop) -> LateDatabase:
    """Run the start command, let the database come up later, and touch nothing else.

    Raises:
        NotApplicable: the project declares no database.
        NotVerified: it cannot be given another one.
    """
    copy = workshop.run.copy()
    stack = workshop.stack(copy=copy)
    environment, arrive = stack.database.arrives_late(copy)
    for name, value in environment.items():
        set_value(copy, name, value)
    stack.prepare(environment)  # an image can take longer than any database
    arrivals: list[float] = []

    def wait_and_arrive() -> None:
        _wait_until_missed(copy)
        arrive()
        arrivals.append(time.monotonic())

    threading.Thread(target=wait_and_arrive, daemon=True).start()
    start = start_and_watch(
        stack,
        environment,
        deadline_s=LATEST_S + stack.start_deadline_s,
        ready_deadline_s=LATEST_S + READY_DEADLINE_S,
    )
    arrived_s = arrivals[0] - start.began if arrivals else None
    start = replace(start, held_up_s=arrived_s or 0.0)
    running = start.served and wait_for(stack.is_running, bool, deadline_s=start.patience_s)
    state = stack.state()
    workshop.for_late.adopt(start)
    came = f"the database came after {arrived_s:.1f} s" if arrived_s else "it ended before one came"
    return LateDatabase(
        stack=stack,
        steps=("the start command, with no database", came),
        start=start,
        arrived_s=arrived_s,
        running=running,
        state=state,
    )


def _wait_until_missed(copy: ProjectCopy) -> None:
    """Wait for some seconds; on a slow machine until migrations or workers have begun, or all wait for something."""
    began, quiet = time.monotonic(), Quiet(copy.pids)

    def is_missed() -> bool:
        quiet_s, late_s = quiet.look(), time.monotonic() - began
        begun = [*copy.events.named("upgrade.begin"), *copy.events.named("worker")]
        return late_s > LATE_S and (
            quiet_s > QUIET_S or any(time.monotonic() > event.t + 1 for event in begun)
        )

    wait_for(is_missed, bool, deadline_s=LATEST_S)
