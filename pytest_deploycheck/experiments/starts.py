"""Starts that go wrong, or should: a setting is missing, a module is broken."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.probes.answer import is_good
from pytest_deploycheck.sandbox.values import set_value
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import Start, start_and_watch
from pytest_deploycheck.workshop import Workshop

LOG_LINES = 400
TAIL_LINES = 4
MISSING_MODULE = "deploycheck_missing"
OF_A_SHELL = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")


def start_with_a_shell(workshop: Workshop) -> Start:
    """Start a copy once more, from the project's folder, with the names that each shell sets.

    Not with all variables of the caller: one of them may lead to a real database.
    """
    stack = workshop.stack()
    names = {name: os.environ[name] for name in OF_A_SHELL if name in os.environ}
    try:
        return start_and_watch(stack, names, folder=stack.copy.root)
    finally:
        stack.end()


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A start that should not succeed.

    Attributes:
        what: what was wrong with it, in words.
        names: what its output has to name.
        exit_status: of the start command, None if it went on.
        failed: whether the manager said that the app has ended or does not come up.
        alive: whether the app ever answered.
        took_s: seconds until one of these was seen.
        output: what start command, manager, app and proxy printed.
        tail: the last lines of each of them.
    """

    what: str
    names: str = ""
    exit_status: int | None
    failed: bool
    alive: bool
    took_s: float
    output: str
    tail: str

    @property
    def refused(self) -> bool:
        """Whether it ended with an error by itself, or the manager shows that the app did; and nothing was served."""
        return (self.exit_status not in (None, 0) or self.failed) and not self.alive

    @property
    def naming_line(self) -> str | None:
        """The first line that names the setting and says something of it; lines of a traceback's code do not."""
        name = re.compile(rf"(?<![A-Za-z0-9_]){re.escape(self.names)}(?![A-Za-z0-9_])", re.IGNORECASE)
        for line in self.output.splitlines():
            if name.search(line) and not line.startswith((" ", "\t")) and len(line.split()) > 1:
                return line
        return None

    def describe(self) -> str:
        """Say what was seen, for a message."""
        said = [
            f"exit status {self.exit_status}"
            if self.exit_status is not None
            else "the start command went on",
            "the app answered requests" if self.alive else "the app never answered",
            "the manager says that it failed" if self.failed else "the manager never said that it failed",
        ]
        return f"{', '.join(said)} (watched for {self.took_s:.1f} s)\n{self.tail}"


def watch_refusal(workshop: Workshop, stack: Stack, what: str) -> Refusal:
    """Start a stack that should not come up and watch until it is clear what it does. It is not ended here."""
    stack.prepare()
    stack.database.environment(stack.copy)  # who still waits for it refuses nothing yet
    # Where a start that succeeds takes long, one that does not has more time too.
    usual = workshop.gentle.start_so_far
    deadline_s = max(stack.refusal_deadline_s, 5 * ((usual and usual.ready_s) or 0))
    began = time.monotonic()
    process = stack.start()
    failed = alive = False
    children: frozenset[int] = frozenset()
    while time.monotonic() - began < deadline_s:
        status = process.poll()
        now = stack.processes().servers
        # A manager that starts it again at once shows the end of a process only for a moment: its pid tells too.
        failed = stack.app_has_failed() or bool(now and not children <= now)
        children |= now
        alive = bool(stack.copy.events.named("worker")) or _answers(stack)
        if status not in (None, 0) or failed or alive:  # 0: it may have gone to the background
            break
        time.sleep(0.1)
    return Refusal(
        what=what,
        exit_status=process.poll(),
        failed=failed,
        alive=alive,
        took_s=time.monotonic() - began,
        output=stack.log_tail(LOG_LINES),
        tail=stack.log_tail(TAIL_LINES),
    )


def _answers(stack: Stack) -> bool:
    return is_good(stack.entry.status(stack.config.requests.live, timeout_s=0.2))


@dataclass(frozen=True, kw_only=True)
class BadSettings:
    """Starts with something wrong, one at a time. ``untried``: secrets that are in no file."""

    steps: tuple[str, ...]
    refusals: tuple[Refusal, ...]
    untried: tuple[str, ...]


@lane(Lane.OWN)
def start_with_bad_settings(workshop: Workshop) -> BadSettings:
    """Start copies without each secret, with each one empty, with a broken database URL, with a broken module."""
    config = workshop.config
    trials: list[tuple[str, str, dict[str, str | None], dict[str, str]]] = []
    for name in config.secrets:
        if config.value_of(name) is not None:
            trials += [
                (f"without {name}", name, {name: None}, {}),
                (f"with {name} empty", name, {name: ""}, {}),
            ]
    if url := config.settings.get("database_url"):
        trials.append((f"with {url}=garbage", url, {url: "garbage"}, {url: "garbage"}))
    if config.app:
        module = config.app.partition(":")[0]
        what = f"with an import in {module} that fails"
        trials.append((what, MISSING_MODULE, {}, {"DEPLOYCHECK_BREAK": module}))
    refusals = [_try_start(workshop, *trial) for trial in trials]
    return BadSettings(
        steps=tuple(f"a start {refusal.what}" for refusal in refusals),
        refusals=tuple(refusals),
        untried=tuple(name for name in config.secrets if config.value_of(name) is None),
    )


def _try_start(
    workshop: Workshop, what: str, names: str, values: Mapping[str, str | None], extra: Mapping[str, str]
) -> Refusal:
    """Start a copy with something wrong."""
    copy = workshop.run.copy()
    stack = workshop.stack(extra, copy=copy)
    for name, value in values.items():
        set_value(copy, name, value)
    try:
        return replace(watch_refusal(workshop, stack, what), names=names)
    finally:
        stack.end()
