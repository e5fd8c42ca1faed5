"""Starting a stack, and watching it from the first moment."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_deploycheck.charts import NOT_UP, RequestChart, around
from pytest_deploycheck.outcome import Blocked
from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.ports import holder, listener
from pytest_deploycheck.sandbox.run import last_error
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.stacks.protocol import Stack

# A stack that is alive has so long to become ready, or three times as long as it took to be alive.
READY_DEADLINE_S = 8.0
# What ends must be back within so long, or within five times the cold start on this machine.
RECOVERY_DEADLINE_S = 12.0
# In so long a proxy has taken over its first certificate: on a busy machine, with some time to spare.
TAKE_OVER_S = 3.0
# Where the last error is looked for: below it servers write more than a message has room for.
LOG_LINES = 400


@dataclass(frozen=True, kw_only=True)
class Start:
    """What was seen from the start command on.

    Attributes:
        began: ``time.monotonic()`` at the start command.
        alive_s, ready_s: seconds until liveness and readiness first said 200 through the public entry; None = never.
        read_when_ready: the status of an ordinary request at the moment readiness first said 200.
        version_when_ready, version_when_alive: the database's revision at these moments.
        exit_status: of the start command, if it ended.
        log: its last lines.
        asked: what was asked meanwhile, by path.
        held_up_s: for so much of it the app was kept waiting on purpose, in seconds.
    """

    stack: Stack
    began: float
    alive_s: float | None
    ready_s: float | None
    read_when_ready: int | str | None
    version_when_alive: str | None
    version_when_ready: str | None
    exit_status: int | None
    log: str
    asked: Mapping[str, Sequence[Answer]]
    held_up_s: float = 0.0

    @property
    def served(self) -> bool:
        """Whether it came to be ready."""
        return self.ready_s is not None

    @property
    def patience_s(self) -> float:
        """How long to wait for this stack to recover: slow machines get more time, in seconds."""
        start_s = self.ready_s or 0.0
        if start_s > self.held_up_s:  # else it came up beside what it was to wait for
            start_s -= self.held_up_s
        return max(RECOVERY_DEADLINE_S, 5 * start_s)

    def must_serve(self) -> Start:
        """Return this start, for what rests on a stack that serves.

        Raises:
            Blocked: it did not come to be ready, which is what BOOT002 and PRE001 are about.
        """
        if self.served:
            return self
        checks = "BOOT002, PRE001" if self.stack.config.database_url else "BOOT002"
        raise Blocked(f"the stack does not serve (see {checks}): {self.describe()}")

    @property
    def charts(self) -> list[RequestChart]:
        """What was asked, from the start command on."""
        seen = [(0.0, "the start command"), (self.alive_s, "alive"), (self.ready_s, "ready")]
        moments = [(self.began + t, name) for t, name in seen if t is not None]
        answers = {f"GET {path}": found for path, found in self.asked.items()}
        expected = dict.fromkeys(answers, NOT_UP)
        return [around("requests from the start command on", answers, moments, expected=expected)]

    def describe(self) -> str:
        """Say what happened, for a message."""
        if self.ready_s is not None:
            alive = "never alive" if self.alive_s is None else f"alive after {self.alive_s:.1f} s"
            return f"{alive}, ready after {self.ready_s:.1f} s"
        state = self.stack.state()
        told = self.exit_status is None or f"with status {self.exit_status}" in state
        end = "" if told else f"; the start command ended with status {self.exit_status}"
        alive = "never answered" if self.alive_s is None else "alive, but never ready"
        return f"{alive}{end}; {state}\n{self.log}"


def start_and_watch(
    stack: Stack,
    extra: Mapping[str, str] | None = None,
    *,
    folder: Path = Path("/"),
    terminal: Terminal | None = None,
    command: str | None = None,
    deadline_s: float | None = None,
    ready_deadline_s: float = READY_DEADLINE_S,
) -> Start:
    """Run the start command and poll the public entry until it is ready, has ended, or a deadline has passed.

    That is the stack's own ``start_deadline_s`` by default.
    """
    deadline_s = deadline_s or stack.start_deadline_s
    stack.prepare(extra)
    began = time.monotonic()
    process = stack.start(extra, folder=folder, terminal=terminal, command=command)
    requests = stack.config.requests
    asked: defaultdict[str, list[Answer]] = defaultdict(list)
    alive_s = ready_s = None
    read = version_alive = version_ready = None
    while time.monotonic() - began < deadline_s:
        if _ask(stack, requests.ready, asked):
            ready_s = time.monotonic() - began
            read, version_ready = stack.entry.status(requests.read), _version(stack)
        # Whoever is ready lives; a proxy may just then close connections, as it takes over its first certificate.
        patience_s = 0.0 if ready_s is None else TAKE_OVER_S
        if alive_s is None and wait_for(
            lambda: _ask(stack, requests.live, asked), bool, deadline_s=patience_s
        ):
            alive_s = time.monotonic() - began
            version_alive = _version(stack)
        if ready_s is not None or _has_ended(stack, process.poll()) or stack.has_given_up():
            break
        if alive_s is not None and time.monotonic() - began > alive_s + max(ready_deadline_s, 3 * alive_s):
            break
        time.sleep(0.1)
    _refuse_strangers(stack, alive_s)
    return Start(
        stack=stack,
        began=began,
        alive_s=alive_s,
        ready_s=ready_s,
        read_when_ready=read,
        version_when_alive=version_alive,
        version_when_ready=version_ready,
        exit_status=process.poll(),
        log=_log(stack) if ready_s is None else stack.log_tail(),
        asked=asked,
    )


def _ask(stack: Stack, path: str, asked: defaultdict[str, list[Answer]]) -> bool:
    """Tell whether the answer is good, and note it."""
    answer = stack.entry.ask(path, timeout_s=5)
    asked[path].append(answer)
    return answer.ok


def _has_ended(stack: Stack, exit_status: int | None) -> bool:
    """Tell whether nothing more can come; a start command may leave the stack in the background and exit with 0."""
    return exit_status is not None and (exit_status != 0 or not stack.copy.pids())


def _log(stack: Stack) -> str:
    """Return the last lines of the logs, and before them the last error, if there is one further up."""
    last = stack.log_tail()
    error = last_error(stack.log_tail(LOG_LINES))
    return last if not error or error in last else f"{error}\n{last}"


def _version(stack: Stack) -> str | None:
    return stack.database.version(stack.copy) if stack.config.database_url else None


def _refuse_strangers(stack: Stack, alive_s: float | None) -> None:
    """An answer on our port from a process that is not ours is no answer of the app."""
    port = stack.entry.https_port
    pid = listener(port)
    # nginx writes its title over the environment that it was started with, and no tag is seen there any more.
    if alive_s is not None and pid not in stack.copy.run.tagged_pids() | stack.proxy_pids():
        raise Blocked(
            f"port {port} was taken by {holder(port)} while the stack started: start the checks again"
        )
