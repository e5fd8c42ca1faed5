"""The app is stopped through its manager, and started again."""

from __future__ import annotations

import signal
import time
from dataclasses import dataclass

from pytest_deploycheck.charts import NOT_UP, RequestChart, around
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.lanes import LaneThread
from pytest_deploycheck.probes.answer import Answer, is_good
from pytest_deploycheck.probes.events import SHUT_DOWN
from pytest_deploycheck.probes.in_flight import InFlight
from pytest_deploycheck.probes.processes import Processes, kill
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.ports import listener
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.workshop import Workshop

SLOW_REQUEST_S = 1.0
HEARING_DEADLINE_S = 20.0
HEALTH_TIMEOUT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Stopped:
    """The app was stopped through the manager, with a request in flight, and started again.

    Attributes:
        stack: the stack it happened to.
        steps: what was done.
        at, took_s: when the stop began (``time.monotonic()``), and how long the manager took for it, in seconds.
        heard_at: when the app was told (``time.monotonic()``).
        slow: the request that was in flight.
        before: the app's processes.
        left: processes of the app that still lived after the stop, wherever they hang in the process tree.
        shut_down: the workers whose lifespan shutdown completed.
        while_down: a request while the app was stopped.
        accepting: whether the app's own address still took connections after the stop.
        back_s: seconds from the start command to the first 200 through the proxy; None = not in time.
        proxy_before, proxy_after: pids that listen on the public port.
        health: what the project's health check said while all was well, while the app was stopped, and so on.
    """

    stack: Stack
    steps: tuple[str, ...]
    at: float
    took_s: float
    heard_at: float
    slow: Answer
    before: Processes
    left: frozenset[int]
    shut_down: frozenset[int]
    while_down: Answer
    accepting: bool
    back_s: float | None
    proxy_before: int | None
    proxy_after: int | None
    health: dict[str, Health]

    @property
    def charts(self) -> list[RequestChart]:
        """The requests around the stop."""
        moments = [(self.at, "stop"), (self.at + self.took_s, "the manager is done")]
        answers = {"in flight at the stop": [self.slow], "while it was down": [self.while_down]}
        expected = {"while it was down": NOT_UP}
        return [around("requests around the stop", answers, moments, expected=expected)]


@dataclass(frozen=True, kw_only=True)
class Health:
    """What a health check said, and whether it is what it should say."""

    healthy: bool
    expected: bool
    said: str


def ask_health(stack: Stack, *, expected: bool) -> Health:
    """Run the project's health check; if it has none, ask for readiness as a load balancer does."""
    if command := stack.health_check:
        return _run(stack, command, expected=expected)
    status = stack.entry.status(stack.config.requests.ready)
    return Health(healthy=is_good(status), expected=expected, said=f"readiness said {status}")


def ask_frozen(stack: Stack, command: str) -> Health:
    """Run a health check while all workers are there, and none of them answers."""
    workers = stack.processes().workers
    kill(workers, signal.SIGSTOP)
    try:
        return _run(stack, command, expected=False)
    finally:
        kill(workers, signal.SIGCONT)


def _run(stack: Stack, command: str, *, expected: bool) -> Health:
    done = stack.call(command, timeout_s=HEALTH_TIMEOUT_S)
    said = f"{command} ended with {done.status}: {done.tail(1) or 'no output'}"
    return Health(healthy=done.status == 0, expected=expected, said=said)


@lane(Lane.STOPS)
def stop_and_start(workshop: Workshop) -> Stopped:
    """Stop the app through the manager with a slow request in flight, ask, start it, ask."""
    stack = workshop.for_stops.steady()
    before = stack.processes()
    others = stack.copy.pids() - before.tree
    proxy_before = listener(stack.entry.https_port)
    health = {"while it served": ask_health(stack, expected=True)}
    slow_s = SLOW_REQUEST_S + stack.stop_delay_s
    patience_s = slow_s + stack.stop_grace_s + 5
    gate = stack.copy.root.with_suffix(".gate")
    until = f"&gate={gate}" if stack.hears_late else ""
    slow = InFlight(stack, "hold", f"seconds={slow_s}{until}", timeout_s=patience_s + HEARING_DEADLINE_S)
    at = time.monotonic()
    stopping = LaneThread("stop").submit("stop", stack.stop_app)
    wait_for(lambda: stack.has_heard_of_stop(at) or stopping.done(), bool, deadline_s=HEARING_DEADLINE_S)
    heard_at = time.monotonic()
    gate.touch()
    stopping.result()
    took_s = time.monotonic() - at
    gate.unlink()
    slow.answer()
    # Beside the proxy, a script may look for something again and again, by a process of its own each time.
    left = wait_for(
        lambda: stack.copy.pids() - others - stack.proxy_pids(), lambda pids: not pids, deadline_s=2
    )
    accepting = stack.upstream.accepts()
    while_down = stack.entry.ask(stack.config.requests.live)
    health["while the app was stopped"] = ask_health(stack, expected=False)
    start = time.monotonic()
    stack.start_app()
    status = wait_for(
        lambda: stack.entry.status(stack.config.requests.ready),
        is_good,
        deadline_s=workshop.for_stops.patience_s,
    )
    back_s = time.monotonic() - start if is_good(status) else None
    if stack.config.database_url:
        with stack.database.away(stack.copy):
            health["while the database was away"] = ask_health(stack, expected=False)
    health["when all was back"] = ask_health(stack, expected=True)
    if command := stack.health_check_of_manager:
        health["while no worker answered, as the manager asks"] = ask_frozen(stack, command)
    return Stopped(
        stack=stack,
        steps=(
            f"a request was in flight that takes {slow_s:.0f} s more when the stop has come",
            f"stop of the app through the manager (took {took_s:.1f} s)",
            "a request while it was down",
            "start of the app through the manager",
        ),
        at=at,
        took_s=took_s,
        heard_at=heard_at,
        slow=slow.answer(),
        before=before,
        left=frozenset(left),
        shut_down=stack.copy.events.pids(SHUT_DOWN, since=at),
        while_down=while_down,
        accepting=accepting,
        back_s=back_s,
        proxy_before=proxy_before,
        proxy_after=listener(stack.entry.https_port),
        health=health,
    )
