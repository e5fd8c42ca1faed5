"""The power is cut; the next start is made in a terminal, and that is closed."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx2

from pytest_deploycheck.charts import NOT_UP, RequestChart, around
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.need import Need
from pytest_deploycheck.outcome import Blocked, NotVerified
from pytest_deploycheck.probes.answer import Answer, is_good
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import Start, start_and_watch
from pytest_deploycheck.workshop import Workshop

# All has been well for so long: it serves again, and it goes on.
SETTLED_S, CALM_S = 1.0, 3.0


@dataclass(frozen=True, kw_only=True)
class Hangup:
    """The terminal in which a stack was started has been closed.

    Attributes:
        stack: the stack it happened to.
        steps: what was done.
        at: ``time.monotonic()`` when it was closed.
        asked: what was asked, once before and from then on.
        serves: whether it served in the end, for some time without a failure.
        running: whether the manager said then that all runs.
        gap_s: seconds from the first to the last failed request.
        state: what the manager said.
    """

    stack: Stack
    steps: tuple[str, ...]
    at: float
    asked: tuple[Answer, ...]
    serves: bool
    running: bool
    gap_s: float
    state: str

    @property
    def charts(self) -> list[RequestChart]:
        """What was asked before, and from then on."""
        name, closed = f"GET {self.stack.config.requests.ready}", (self.at, "the terminal is closed")
        return [around("requests around the hangup", {name: self.asked}, [closed], expected={name: NOT_UP})]


@dataclass(frozen=True, kw_only=True)
class PowerCut:
    """All processes of a stack were killed at once, and it was started again over what they left.

    Attributes:
        stack: the stack it happened to.
        steps: what was done.
        left: files that were there when it was started again, except those of the project.
        terminal: where it was started again; None if this machine has none, or nobody starts it by hand.
        start: what was seen then.
        written: what had been written before, as a path; None if no request that writes is declared, or it failed.
        kept: how that was answered in the end.
    """

    stack: Stack
    steps: tuple[str, ...]
    left: tuple[str, ...]
    terminal: Terminal | None
    start: Start
    written: str | None
    kept: int | str | None

    @property
    def charts(self) -> list[RequestChart]:
        """What was asked, from the start command on."""
        return self.start.charts


@lane(Lane.STOPS)
def cut_power(workshop: Workshop) -> PowerCut:
    """SIGKILL everything, manager and proxy too; run the start command again, in a terminal."""
    stack = workshop.for_stops.steady()
    written = _write(stack)
    count = len(stack.copy.pids())
    stack.end()
    wait_for(stack.copy.pids, lambda pids: not pids, deadline_s=5)
    left = _left_behind(stack.copy)
    terminal = None
    with contextlib.suppress(NotVerified):
        # A manager that does not run here, or that nobody starts by hand, has no terminal that could be closed.
        away = {Need.MANAGER, Need.START} & workshop.config.lacks.keys()
        terminal = None if away else Terminal(stack.copy.log_file)
    start = start_and_watch(stack, terminal=terminal)
    kept = stack.entry.status(written) if written and start.served else None
    if not start.served:
        workshop.for_stops.end()
    return PowerCut(
        stack=stack,
        steps=(f"SIGKILL to all {count} processes at once, the manager's too", "the start command again"),
        left=left,
        terminal=terminal,
        start=start,
        written=written,
        kept=kept,
    )


def _write(stack: Stack) -> str | None:
    """Write something; return where it can be read."""
    entry, write = stack.entry, stack.config.requests.write
    if write is None:
        return None
    with contextlib.suppress(httpx2.TransportError):
        answer = entry.request("POST", write.path, json=write.json)
        if location := answer.headers.get("Location"):
            path = entry.path_of(urljoin(entry.prefix + write.path, location))
            return path if is_good(entry.status(path)) else None
    return None


@dataclass(frozen=True, kw_only=True)
class _Watch:
    """Requests to a stack, one before the terminal was closed in which it was started, and the others since then."""

    start: Start
    at: float
    asked: list[Answer]

    @property
    def bad(self) -> list[Answer]:
        """Those that were not answered with 2xx."""
        return [answer for answer in self.asked if not answer.ok]

    @property
    def good_s(self) -> float:
        """For how long all have been answered with 2xx since then, in seconds."""
        return time.monotonic() - max([self.at, *(answer.end for answer in self.bad)])

    def ask(self, until: Callable[[], bool]) -> None:
        """Ask again and again, until all is well, nothing is left, or the time is over."""
        stack = self.start.stack
        # A manager that takes SIGHUP for a restart stops all first, for which it has its time.
        deadline = self.at + stack.stop_grace_s + self.start.patience_s + CALM_S
        while time.monotonic() < deadline and stack.copy.pids() and not until():
            self.asked.append(stack.entry.ask(stack.config.requests.ready, timeout_s=2))
            time.sleep(0.2)


@lane(Lane.STOPS, ends_calmly=True, uses=(cut_power,))
def close_terminal(workshop: Workshop) -> Hangup:
    """Close the terminal in which the stack was started, and let the manager open its logs anew.

    Ask until all has been well for some time since then, and the manager says so.

    Raises:
        Blocked: it did not serve before.
        NotVerified: this machine has no terminals.
    """
    cut: PowerCut = workshop.result_of(cut_power)
    stack = cut.stack
    if not cut.start.served:
        raise Blocked(f"the start in a terminal did not serve (see BOOT004): {cut.start.describe()}")
    if cut.terminal is None:
        raise NotVerified("no pseudo-terminal can be opened here: mount /dev/pts")
    before = stack.entry.ask(stack.config.requests.ready)
    steps = ["the start command in a terminal", "the terminal is closed"]
    watch = _Watch(start=cut.start, at=time.monotonic(), asked=[before])
    cut.terminal.close()
    watch.ask(lambda: watch.good_s > SETTLED_S)
    if stack.rotate_logs():
        steps.append("the manager opens its logs anew")
    workshop.calm_down()
    watch.ask(lambda: watch.good_s > CALM_S and stack.is_running())
    serves, running = watch.good_s > CALM_S, stack.is_running()
    if not (serves and running):
        workshop.for_stops.end()
    return Hangup(
        stack=stack,
        steps=tuple(steps),
        at=watch.at,
        asked=tuple(watch.asked),
        serves=serves,
        running=running,
        gap_s=watch.bad[-1].end - watch.bad[0].start if watch.bad else 0.0,
        state=stack.state(),
    )


def _left_behind(copy: ProjectCopy) -> tuple[str, ...]:
    """Return sockets, pid files and locks in the copy, for the message."""
    stale = re.compile(r"\.(pid|lock|sock)$|lock")
    paths = (path for path in copy.root.glob("[!.]*/**/*") if path.is_socket() or stale.search(path.name))
    return tuple(sorted(str(path.relative_to(copy.root)) for path in paths))[:8]
