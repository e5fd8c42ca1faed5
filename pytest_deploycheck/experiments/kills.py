"""Processes of the app end behind the manager's back, killed or by themselves; what follows is watched."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from pytest_deploycheck.charts import RequestChart, around
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.probes.inside.deploycheck_mark import EXIT_SIGNAL
from pytest_deploycheck.probes.logs import NewLines
from pytest_deploycheck.probes.processes import Processes, alive, describe, kill
from pytest_deploycheck.probes.traffic import SteadyTraffic, TimeLine
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.steady import SteadyStack
from pytest_deploycheck.workshop import Workshop

# Where there is no manager, only orphans are waited for: they may notice that their parent is gone.
ORPHANS_S = 5.0
# So many send requests; fewer where all of the app ends, and nobody can be served.
CLIENTS, FEW = 4, 2


@dataclass(frozen=True, kw_only=True)
class Killed:
    """Processes of the app were ended behind the manager's back.

    Attributes:
        stack: the stack it happened to.
        steps: what was done.
        act: the last of it, in short.
        at: ``time.monotonic()`` of the act.
        victims: the processes that were ended.
        before, after: the app's processes.
        running: whether the manager said that all runs, in the end.
        strays: processes of before, outside of the manager's tree, that still lived in the end.
        served_s: seconds until as many workers as before served again; the deadline if they never did.
        recovered_s: seconds until the app was whole again, for the manager too; the deadline if it never was.
        traffic: requests to the project's ``read`` route until it served again.
        log: what manager, app and proxy wrote to their logs meanwhile.
    """

    stack: Stack
    steps: tuple[str, ...]
    act: str
    at: float
    victims: frozenset[int]
    before: Processes
    after: Processes
    running: bool
    strays: frozenset[int]
    served_s: float
    recovered_s: float
    traffic: TimeLine
    log: tuple[str, ...]

    @property
    def new_workers(self) -> frozenset[int]:
        """Workers that were not there before."""
        return self.after.workers - self.before.workers

    @property
    def charts(self) -> list[RequestChart]:
        """The requests around the act."""
        whole = self.running and not self.strays and len(self.after.workers) >= len(self.before.workers)
        moments = [(self.at, self.act)]
        moments += [(self.at + self.served_s, "all workers are back")] if whole else []
        if whole and self.recovered_s > self.served_s:
            moments.append((self.at + self.recovered_s, "the manager says that all runs"))
        path = self.stack.config.requests.read
        return [around(f"requests around {self.act}", {f"GET {path}": self.traffic.answers}, moments)]

    def describe(self) -> str:
        """Say what was seen, for a message."""
        return (
            f"after {self.recovered_s:.1f} s: manager pid {self.before.manager} -> {self.after.manager}, "
            f"says {'RUNNING' if self.running else 'not RUNNING'}; "
            f"workers {sorted(self.before.workers)} -> {sorted(self.after.workers)}; "
            f"left over from before: {describe(self.strays)}; {self.traffic.summary()}"
        )


@lane(Lane.LATE)
def kill_worker(workshop: Workshop) -> Killed:
    """SIGKILL one worker under steady traffic."""
    act = "SIGKILL to one worker"
    return _end(workshop.for_late, lambda before: frozenset({min(before.workers)}), kill, act)


@lane(Lane.LATE)
def kill_server(workshop: Workshop) -> Killed:
    """SIGKILL all processes that the manager itself has started for the app."""
    return _end(workshop.for_late, lambda before: before.servers, kill, "SIGKILL to the server")


@lane(Lane.HANGS, ends_calmly=True)
def exit_cleanly(workshop: Workshop) -> Killed:
    """Let one process that the manager has started for the app exit with status 0."""
    act = "exit of the server with status 0"
    end = partial(kill, number=EXIT_SIGNAL)
    return _end(
        workshop.for_hangs,
        lambda before: frozenset({min(before.servers)}),
        end,
        act,
        calm_down=workshop.calm_down,
    )


def _end(
    shared: SteadyStack,
    choose: Callable[[Processes], frozenset[int]],
    end: Callable[[frozenset[int]], None],
    act: str,
    *,
    calm_down: Callable[[], None] = lambda: None,
) -> Killed:
    """Act on some processes under steady traffic, and watch until the app is whole again.

    Whole means all at once: the victims are gone, as many workers as before serve, none of the processes that must
    go is left, and the manager says that all runs, which can take it some seconds more.
    """
    stack = shared.steady()
    before = stack.processes()
    victims = choose(before)
    # A server that ends soon after its start has not started, for the manager. One that has other workers does not end.
    if victims & before.servers or len(before.workers) <= len(before.servers):
        stack = shared.steady(ask_manager=True)
        before = stack.processes()
        victims = choose(before)
    must_go = before.tree if victims == before.servers else frozenset[int]()

    def strays(now: Processes) -> frozenset[int]:
        return alive(victims | must_go) - (now.tree - victims - must_go)

    def look() -> tuple[Processes, bool]:
        return stack.processes(), stack.is_running()

    def serves(now: Processes) -> bool:
        return not strays(now) and len(now.workers) >= len(before.workers) and not victims & now.tree

    def settled(seen: tuple[Processes, bool]) -> bool:
        """Tell whether nothing more will come: all is whole, or nothing is left and nobody starts it again."""
        now, running = seen
        return (running and serves(now)) or (not strays(now) and stack.has_given_up())

    is_final = not before.manager and victims == before.servers
    patience_s = ORPHANS_S if is_final else shared.patience_s
    with SteadyTraffic(
        stack.entry, stack.config.requests.read, clients=FEW if must_go else CLIENTS
    ) as traffic:
        traffic.wait_for_rounds()
        log = NewLines(stack.log_files)
        step, at = f"{act}: {describe(victims)}", time.monotonic()
        end(victims)
        seen = wait_for(look, lambda seen: serves(seen[0]) or settled(seen), deadline_s=patience_s)
        served_s = recovered_s = time.monotonic() - at
        traffic.wait_for_rounds(deadline_s=2)
    if not settled(seen):
        calm_down()
        seen = wait_for(look, settled, deadline_s=patience_s - served_s)
        recovered_s = time.monotonic() - at
    after, running = seen
    return Killed(
        stack=stack,
        steps=(f"{traffic.clients} connections sent requests to {stack.config.requests.read}", step),
        act=act,
        at=at,
        victims=victims,
        before=before,
        after=after,
        running=running,
        strays=strays(after),
        served_s=served_s,
        recovered_s=recovered_s,
        traffic=traffic.time_line,
        log=log.read(),
    )
