"""Running on startup: it starts by itself, from anything, and says so only when it is true."""

from __future__ import annotations

import re

from pytest_deploycheck.check import check
from pytest_deploycheck.experiments.boot import Enabled, Kept, enable_for_the_start
from pytest_deploycheck.experiments.late import LateDatabase, start_before_database
from pytest_deploycheck.experiments.migrations import walk_migrations
from pytest_deploycheck.experiments.power import Hangup, PowerCut, close_terminal, cut_power
from pytest_deploycheck.experiments.starts import (
    BadSettings,
    start_with_a_shell,
    start_with_bad_settings,
)
from pytest_deploycheck.need import Need
from pytest_deploycheck.outcome import Evidence, NotApplicable, Note, NotVerified
from pytest_deploycheck.probes.answer import is_good
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.probes.processes import command_line
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import Start
from pytest_deploycheck.workshop import Workshop

READINESS_DEADLINE_S = 10.0
DEVELOPMENT = re.compile(r"\s--reload\b|\s--debug\b|(^|[\s/])fastapi dev\b|\s-X\s?dev\b")
TRACEBACK = re.compile(r"Traceback \(most recent call last\)|File \"[^\"]+\", line \d+|/site-packages/")


@check(
    "BOOT001",
    "the machine's start starts the app",
    expect="a unit that the machine's start pulls in, and what it runs ends up serving; or containers that the engine "
    "starts again by itself",
    fix="[Install] WantedBy=multi-user.target in the unit, and `systemctl enable` for it: to write it is not enough; "
    "for containers `restart: always`, and an engine that the machine's start starts",
    experiment=enable_for_the_start,
    needs=(Need.MANAGER,),
)
def check_machine_start_starts_the_app(workshop: Workshop, experiment: Enabled | Kept, note: Note) -> None:
    """Enable the deployment on an empty machine, look what its start would pull in, and run that."""
    if isinstance(experiment, Kept):
        note.did(
            "the engine was asked which containers it starts again by itself; it was not started anew itself"
        )
        note.evidence = Evidence.DECLARED
        assert not experiment.forgotten, f"the engine would not start {', '.join(experiment.forgotten)}"
        return
    seen = experiment
    assert seen.command.status == 0, f"status {seen.command.status}: {seen.command.tail(3)}"
    assert seen.written, f"no service was written: {seen.command.tail(3)}"
    assert seen.pulled_in, (
        f"{', '.join(seen.written)} is written, but no target of the machine's start wants it"
    )
    assert not seen.complaints, f"systemd says: {seen.complaints}"
    assert not seen.before, f"{seen.before.command} ends with {seen.before.status}: {seen.before.tail(3)}"
    assert not seen.typed, f"after the machine's start somebody has to type: {'; '.join(seen.typed)}"
    start = workshop.first_start if seen.usual else seen.start
    assert start, f"{seen.pulled_in[0]} starts nothing: it has no ExecStart="
    note.measured(unit=seen.pulled_in[0], ready_s=start.ready_s and round(start.ready_s, 2))
    assert start.served, f"what {seen.pulled_in[0]} starts does not serve: {start.describe()}"


@check(
    "BOOT002",
    "it needs nothing of my shell",
    expect="it answers requests, started by nothing but the start command",
    fix="paths from where the files are, programs from .venv/bin, settings from the environment file",
)
def check_needs_nothing_of_my_shell(workshop: Workshop, note: Note) -> None:
    """Start with an empty environment and another working directory."""
    start = workshop.first_start
    note.did(
        f"start command {workshop.config.start or 'of the manager'} in / with no PATH, no HOME, no variables"
    )
    if start.alive_s is None:
        again = start_with_a_shell(workshop)
        note.did("the same from the project's folder, with PATH, HOME and the like of this shell")
        verdict = (
            f"it starts only with your shell's PATH, HOME or folder (then it was {again.describe()})"
            if again.alive_s is not None
            else "it does not start at all, not with your shell's PATH, HOME and folder either"
        )
        raise AssertionError(f"{verdict}; without them: {start.describe()}")
    note.measured(alive_s=round(start.alive_s, 2), ready_s=start.ready_s and round(start.ready_s, 2))


@check(
    "BOOT003",
    "it waits for a late database",
    expect="it ends up serving by itself, and the manager says that all runs",
    fix="wait for the database before the previous steps, with a deadline and a line that says for what",
    experiment=start_before_database,
)
def check_waits_for_a_late_database(experiment: LateDatabase, note: Note) -> None:
    """Start while the database is not there, let it come up some seconds later, and touch nothing else."""
    start = experiment.start
    note.measured(ready_s=start.ready_s and round(start.ready_s, 2))
    elsewhere = start.stack.config.lacks.get(Need.MANAGER)
    if not start.served and elsewhere:
        raise NotVerified(f"it ended before the database came; {elsewhere}")
    assert start.served, start.describe()
    assert experiment.running, f"it serves, but the manager says: {experiment.state}"


@check(
    "BOOT004",
    "it comes back after a power cut",
    expect="the same start command ends up serving: sockets, pid files and locks of the dead do not block it; "
    "what was written before is there",
    fix="let the kernel hold locks (flock), or ask whether the pid in a file still lives; bind over stale sockets; "
    "with containers, a volume for all that must last",
    experiment=cut_power,
)
def check_comes_back_after_a_power_cut(experiment: PowerCut, note: Note) -> None:
    """Write something, SIGKILL all processes at once, start again over what they left, and read it."""
    start = experiment.start
    note.measured(ready_s=start.ready_s and round(start.ready_s, 2), left=list(experiment.left))
    assert start.served, f"left over were {', '.join(experiment.left) or 'no files'}; {start.describe()}"
    assert experiment.kept is None or is_good(experiment.kept), (
        f"GET {experiment.written}, which was written before, is answered with {experiment.kept}: it is lost"
    )


@check(
    "BOOT005",
    "closing the terminal does not stop it",
    expect="it goes on serving, or serves again by itself, and the manager says that all runs",
    fix="a session of its own for the process manager, or one that outlives SIGHUP; and let it write to no terminal",
    experiment=close_terminal,
    needs=(Need.MANAGER, Need.START),
)
def check_closing_the_terminal_does_not_stop_it(experiment: Hangup, note: Note) -> None:
    """Run the start command in a terminal, close the terminal, and let the manager write to its logs, if it has any."""
    note.measured(gap_s=round(experiment.gap_s, 2))
    assert experiment.serves, f"it serves no more; {experiment.state}"
    assert experiment.running, (
        f"requests are still answered, but by processes that nobody watches: {experiment.state}"
    )


@check(
    "BOOT006",
    "a bad setting stops the start",
    expect="the start ends with an error within seconds, never serves, and one line of its output names the setting",
    fix="read and check all settings before anything starts; no defaults for secrets; end with one line and status 1",
    experiment=start_with_bad_settings,
)
def check_bad_setting_stops_the_start(experiment: BadSettings, note: Note) -> None:
    """Start without each secret, with each one empty, with a broken database URL, and with a broken module."""
    if experiment.untried:
        names = ", ".join(experiment.untried)
        raise NotVerified(
            f"neither in the environment file nor in secrets_dir, so it cannot be taken away: {names}"
        )
    if not experiment.refusals:
        raise NotApplicable("nothing to break is declared: [tool.deploycheck] secrets, database_url, app")
    note.measured(took_s={refusal.what: round(refusal.took_s, 2) for refusal in experiment.refusals})
    for seen in experiment.refusals:
        assert seen.refused, f"{seen.what}: {seen.describe()}"
    for seen in experiment.refusals:
        assert seen.naming_line, f"{seen.what}: no line of the output names {seen.names}; {seen.describe()}"


@check(
    "BOOT007",
    "it is not ready before it is",
    expect="readiness says 200 only while requests work and the schema is at head, else 503",
    fix="let readiness ask the database for its revision, and compare it with the newest of the release",
    experiment=walk_migrations,
    needs=(Need.READINESS,),
)
def check_not_ready_before_it_is(workshop: Workshop, stack: Stack, first_start: Start, note: Note) -> None:
    """Poll readiness from the start on; then note the revision before the last one in the database."""
    start = first_start.must_serve()
    assert start.ready_s is not None
    note.measured(ready_s=round(start.ready_s, 2))
    assert start.read_when_ready in range(200, 300), (
        f"readiness said 200 after {start.ready_s:.1f} s, but a request was answered with {start.read_when_ready}"
    )
    if stack.config.database_url is None:
        return
    migrations = workshop.result_of(walk_migrations)
    late = start.stack.copy.events.named("revision", since=start.began + start.ready_s)
    assert start.version_when_ready in migrations.heads, (
        f"readiness said 200 with the schema at {start.version_when_ready}, head is {migrations.heads}"
    )
    assert not late, f"readiness said 200, and after that revision {late[0].data['id']} was applied"
    _readiness_follows_the_schema(stack, migrations.previous, note)


def _readiness_follows_the_schema(stack: Stack, previous: str | None, note: Note) -> None:
    ready = stack.config.requests.ready
    head = stack.database.version(stack.copy)
    try:
        stack.database.set_version(stack.copy, previous)
        behind = wait_for(
            lambda: stack.entry.status(ready), lambda seen: seen == 503, deadline_s=READINESS_DEADLINE_S
        )
    finally:
        stack.database.set_version(stack.copy, head)
    back = wait_for(lambda: stack.entry.status(ready), is_good, deadline_s=READINESS_DEADLINE_S)
    note.did(f"readiness said {behind} at revision {previous}, and {back} at {head}")
    assert behind == 503, (
        f"readiness said {behind} while the database was noted at revision {previous}, not {head}"
    )
    assert is_good(back), f"readiness said {back} after the database was at {head} again"


@check(
    "BOOT008",
    "no development mode in production",
    expect="no reloader runs, and error responses hold no traceback and no path of a file",
    fix="no --reload, no `fastapi dev`, no debug=True in what production starts",
)
def check_no_development_mode(stack: Stack, note: Note) -> None:
    """Read the running command lines, and ask for errors."""
    lines = {pid: command_line(pid) for pid in stack.copy.pids()}
    found = {pid: line for pid, line in lines.items() if DEVELOPMENT.search(line)}
    assert not found, f"running in development mode: {found}"
    assert not stack.copy.events.named("reloader"), "a reloader watches the source files"
    write = stack.config.requests.write
    answers = [
        ("GET", f"{MARK}raise", stack.entry.get(f"{MARK}raise", headers={"Accept": "text/html"})),
        ("GET", f"{MARK}raise", stack.entry.get(f"{MARK}raise")),
        ("GET", "/no-such-page", stack.entry.get("/no-such-page", headers={"Accept": "text/html"})),
    ]
    if write:
        answers.append(("POST", write.path, stack.entry.request("POST", write.path, json=["not", "valid"])))
    note.did(*(f"{method} {path}: {answer.status_code}" for method, path, answer in answers))
    for method, path, answer in answers:
        leaks = [
            word for word in (*TRACEBACK.findall(answer.text), str(stack.copy.root)) if word in answer.text
        ]
        assert not leaks, f"{method} {path} shows code of the app ({leaks[0]}): {answer.text[:300]}"
