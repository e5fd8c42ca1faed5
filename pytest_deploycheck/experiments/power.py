"""The power is cut; the next start is made in a terminal, and that is closed."""

from __future__ import annotations

import contextlib
import re
import time
from dataclasses import dataclass
from urllib.parse import urljoin

import httpx2

from pytest_deploycheck.charts import RequestChart
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.need import Need
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.answer import is_good
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import Start, start_and_watch
from pytest_deploycheck.workshop import Workshop, end

CALM_S = 4.0


@dataclass(frozen=True, kw_only=True)
class Hangup:
    """The terminal in which a stack was started has been closed.

    Attributes:
        steps: what was done.
        serves: whether it served in the end, for some time without a failure.
        running: whether the manager said then that all runs.
        gap_s: seconds from the first to the last failed request.
        state: what the manager said.
    """

    steps: tuple[str, ...]
    serves: bool
    running: bool
    gap_s: float
    state: str


@dataclass(frozen=True, kw_only=True)
class PowerCut:
    """All processes of a stack were killed at once, and it was started again over what they left, in a terminal.

    Attributes:
        stack: the stack it happened to.
        steps: what was done.
        left: files that were there when it was started again, except those of the project.
        start: what was seen then.
        written: what had been written before, as a path; None if no request that writes is declared, or it failed.
        kept: how that was answered in the end.
        hangup: what was seen when its terminal was closed; None if it did not serve, or this machine has no terminals.
    """

    stack: Stack
    steps: tuple[str, ...]
    left: tuple[str, ...]
    start: Start
    written: str | None
    kept: int | str | None
    hangup: Hangup | None

    @property
    def charts(self) -> list[RequestChart]:
        """What was asked, from the start command on."""
        return self.start.charts


@lane(Lane.STOPS)
def cut_power(workshop: Workshop) -> PowerCut:
    """SIGKILL everything, manager and proxy too; run the start command again, in a terminal; close the terminal."""
    stack = workshop.for_stops.steady()
    written = _write(stack)
    count = len(stack.copy.pids())
    end(stack)
    wait_for(stack.copy.pids, lambda pids: not pids, deadline_s=5)
    left = _left_behind(stack.copy)
    terminal = None
    with contextlib.suppress(NotVerified):
        # A manager that does not run here, or that nobody starts by hand, has no terminal that could be closed.
        away = {Need.MANAGER, Need.START} & workshop.config.lacks.keys()
        terminal = None if away else Terminal(stack.copy.log_file)
    start = start_and_watch(stack, terminal=terminal)
    kept = stack.entry.status(written) if written and start.served else None
    hangup = _close(start, terminal) if terminal and start.served else None
    if not start.served or (hangup and not (hangup.serves and hangup.running)):
        workshop.for_stops.end()
    return PowerCut(
        stack=stack,
        steps=(f"SIGKILL to all {count} processes at once, the manager's too", "the start command again"),
        left=left,
        start=start,
        written=written,
        kept=kept,
        hangup=hangup,
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


def _close(start: Start, terminal: Terminal) -> Hangup:
    """Close the terminal, and ask until all has been well for some time."""
    stack = start.stack
    terminal.close()
    at = calm_since = time.monotonic()
    first_bad: float | None = None
    serves = running = False
    # A manager that takes SIGHUP for a restart stops all first, for which it has its time.
    deadline = at + stack.stop_grace_s + start.patience_s + CALM_S
    while not (serves and running) and time.monotonic() < deadline:
        asked = time.monotonic()
        if not is_good(stack.entry.status(stack.config.requests.ready, timeout_s=2)):
            first_bad = asked if first_bad is None else first_bad
            calm_since = time.monotonic()
        serves = time.monotonic() > calm_since + CALM_S
        running = stack.is_running()
        if not stack.copy.pids():
            break
        time.sleep(0.2)
    return Hangup(
        steps=("the start command in a terminal", "the terminal is closed"),
        serves=serves,
        running=running,
        gap_s=0.0 if first_bad is None else calm_since - first_bad,
        state=stack.state(),
    )


def _left_behind(copy: ProjectCopy) -> tuple[str, ...]:
    """Return sockets, pid files and locks in the copy, for the message."""
    stale = re.compile(r"\.(pid|lock|sock)$|lock")
    paths = (path for path in copy.root.glob("[!.]*/**/*") if path.is_socket() or stale.search(path.name))
    return tuple(sorted(str(path.relative_to(copy.root)) for path in paths))[:8]
