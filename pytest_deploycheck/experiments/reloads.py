"""Another release is put in the place of the one that runs: a new one, or a broken one."""

from __future__ import annotations

import time
from dataclasses import dataclass

import httpx2

from pytest_deploycheck.charts import LineChart, RequestChart, around
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.outcome import NotApplicable
from pytest_deploycheck.probes.processes import Processes, kill
from pytest_deploycheck.probes.traffic import SteadyTraffic, TimeLine
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.app_module import break_release, module_name, release
from pytest_deploycheck.sandbox.run import COMMAND_TIMEOUT_S, Finished
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.workshop import Workshop

NEW_RELEASE = 2
# A crash loop is bounded once nothing is tried for so long: for two seconds, seen by looks that are 0.2 s apart. On a
# busy machine a crash may last so long that the manager takes it for a run now and then, so it gets several tries; but
# not more than so many crashes of each worker.
LONG_PAUSE_S = 1.8
LOOP_DEADLINE_S = 40.0
MOST_CRASHES = 20


@dataclass(frozen=True, kw_only=True)
class Reloaded:
    """A new release was brought into service under steady traffic.

    Attributes:
        stack: the stack it happened to.
        steps: what was done.
        finished: the project's reload command.
        at: ``time.monotonic()`` when it began.
        took_s: how long it took until all workers were new and as many as before, in seconds.
        before, after: the app's processes.
        releases: by worker, the number of the release that it says it runs; None = the old one.
        traffic: requests to the project's ``read`` route meanwhile.
    """

    stack: Stack
    steps: tuple[str, ...]
    finished: Finished
    at: float
    took_s: float
    before: Processes
    after: Processes
    releases: dict[int, int | None]
    traffic: TimeLine

    @property
    def charts(self) -> list[RequestChart]:
        """The requests around the release."""
        all_new = not self.after.workers & self.before.workers
        moments = [(self.at, self.finished.command)]
        moments += [(self.at + self.took_s, "all workers are new")] if all_new else []
        path = self.stack.config.requests.read
        return [around("requests around the new release", {f"GET {path}": self.traffic.answers}, moments)]

    def describe(self) -> str:
        """Say what was seen, for a message."""
        return (
            f"the command ended with {self.finished.status}; workers {sorted(self.before.workers)} -> "
            f"{sorted(self.after.workers)} after {self.took_s:.1f} s; {self.traffic.summary()}"
        )


@lane(Lane.LATE)
def bring_new_release(workshop: Workshop) -> Reloaded:
    """Change the app's module and run the project's reload command under steady traffic.

    Raises:
        NotApplicable: the project names no such command.
    """
    command = workshop.config.reload
    if not command:
        raise NotApplicable(
            "no command brings a new release into service: [tool.deploycheck] reload names one"
        )
    stack = workshop.for_late.steady(ask_manager=True)
    before = stack.processes()
    release(stack.copy, NEW_RELEASE)
    with SteadyTraffic(stack.entry, stack.config.requests.read) as traffic:
        traffic.wait_for_rounds()
        at = time.monotonic()
        # It may build an image, run the previous steps and start a server.
        finished = stack.call(command, timeout_s=COMMAND_TIMEOUT_S + workshop.for_late.patience_s)
        after = wait_for(
            stack.processes,
            lambda now: not now.workers & before.workers and len(now.workers) >= len(before.workers),
            deadline_s=workshop.for_late.patience_s if finished.status == 0 else 0,
        )
        took_s = time.monotonic() - at
        traffic.wait_for_rounds(deadline_s=2)
    return Reloaded(
        stack=stack,
        steps=(
            f"{traffic.clients} connections sent requests to {stack.config.requests.read}",
            f"a changed module {module_name(stack.copy)}, and {command}",
        ),
        finished=finished,
        at=at,
        took_s=took_s,
        before=before,
        after=after,
        releases=_releases(stack, after.workers),
        traffic=traffic.time_line,
    )


def _releases(stack: Stack, workers: frozenset[int]) -> dict[int, int | None]:
    """Ask until each of the workers has said which release it runs, or for some seconds."""
    found: dict[int, int | None] = {}

    def ask() -> dict[int, int | None]:
        try:
            said = stack.entry.echo(params={"module": module_name(stack.copy)})
            found[said["pid"]] = said["release"]
        except httpx2.HTTPError:
            pass  # the stack is down
        return found

    return wait_for(ask, lambda said: said.keys() >= workers, deadline_s=5, every_s=0.01)


@dataclass(frozen=True, kw_only=True)
class CrashLoop:
    """The app ended at once each time that it was started.

    Attributes:
        stack: the stack it happened to.
        steps: what was done.
        crashed: when processes ended because they could not import the app, in seconds.
        took_s: the length of the watch, in seconds.
        longest_pause_s: the longest time in which no process of the app, or of one of its replicas, was there.
        gave_up: whether the manager said that it tries no more.
        state: what the manager said in the end.
    """

    stack: Stack
    steps: tuple[str, ...]
    crashed: tuple[float, ...]
    took_s: float
    longest_pause_s: float
    gave_up: bool
    state: str

    @property
    def crashes(self) -> int:
        """How many there were."""
        return len(self.crashed)

    @property
    def charts(self) -> list[LineChart]:
        """The crashes over time."""
        steps = [((t, count), (t, count + 1)) for count, t in enumerate(self.crashed)]
        points = [(0.0, 0.0), *((t, float(count)) for step in steps for t, count in step)]
        points.append((max(points[-1][0], round(self.took_s, 2)), float(self.crashes)))
        moments = [(round(self.took_s, 2), "the manager has given up")] if self.gave_up else []
        lines = {"crashes": points}
        return [
            LineChart(title="how often the broken release has crashed", unit="", lines=lines, moments=moments)
        ]


@lane(Lane.RESCALED, ends_stack=True)
def bring_broken_release(workshop: Workshop) -> CrashLoop:
    """Let the app's module fail at import, kill the server, and watch how often it is started."""
    stack = workshop.rescaled.steady(ask_manager=True)
    began = last_look = time.monotonic()
    there, ends = frozenset[int](), list[float]()

    def pause_s() -> float:
        """Return for how long no process of the app has been there, or of one of its replicas: as many ended last."""
        nonlocal there, last_look
        looked, now = time.monotonic(), stack.processes().servers
        ends.extend([last_look] * len(there - now))
        there, last_look = now, looked
        lacking = stack.config.replicas - len(now)
        return looked - sorted([*ends, *crashes()])[-lacking] if lacking > 0 else 0.0

    def crashes() -> list[float]:
        return [event.t for event in stack.copy.events.named("crash", since=began)]

    def is_clear(seen: tuple[float, bool]) -> bool:
        longest_s, gave_up = seen
        return gave_up or longest_s >= LONG_PAUSE_S or len(crashes()) > MOST_CRASHES * stack.config.workers

    try:
        break_release(stack.copy)
        stack.bring_release()
        ends += [time.monotonic()] * stack.config.replicas  # to bring it may take some time
        kill(stack.processes().servers)
        longest_pause_s, gave_up = wait_for(
            lambda: (pause_s(), stack.has_given_up()),
            is_clear,
            deadline_s=LOOP_DEADLINE_S,
            every_s=0.2,
        )
        took_s, state = time.monotonic() - began, stack.state()
    finally:
        workshop.rescaled.end()
    return CrashLoop(
        stack=stack,
        steps=(f"a module {module_name(stack.copy)} that cannot be imported", "SIGKILL to the server"),
        crashed=tuple(round(at - began, 2) for at in crashes()),
        took_s=took_s,
        longest_pause_s=longest_pause_s,
        gave_up=gave_up,
        state=state,
    )
