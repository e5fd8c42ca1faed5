"""What the machine's start would start, once the project's own command has enabled it: below an empty folder."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.units import Unit, units_of_the_start, written_units
from pytest_deploycheck.sandbox.run import Finished, ProjectCopy
from pytest_deploycheck.sandbox.tools import require
from pytest_deploycheck.stacks.selection import has_containers
from pytest_deploycheck.start import Start, start_and_watch
from pytest_deploycheck.workshop import Workshop


@dataclass(frozen=True, kw_only=True)
class Enabled:
    """The project's command has enabled the deployment on a machine that has nothing else.

    Attributes:
        steps: what was done.
        command: how the command ended.
        written: all services that it wrote.
        pulled_in: those that the machine's start starts.
        complaints: what ``systemd-analyze verify`` says of them.
        before: how the first of the unit's ``ExecStartPre=`` that failed ended, None if none did.
        usual: whether the first of them runs the start command, and nothing else; or a machine with it was booted.
        start: what was seen when its ``ExecStart=`` was run, if it runs something else.
        typed: the commands without which a machine that was booted with it does not serve.
    """

    steps: tuple[str, ...]
    command: Finished
    written: tuple[str, ...]
    pulled_in: tuple[str, ...]
    complaints: str
    before: Finished | None
    usual: bool
    start: Start | None
    typed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A container engine starts again what it ran.

    Attributes:
        forgotten: what it would not start when the machine starts, with the reason.
    """

    forgotten: tuple[str, ...]


def enable_for_the_start(workshop: Workshop) -> Enabled | Kept:
    """Run the project's command with DESTDIR, look at what it has left there, and run what that would run.

    Of containers, ask the engine which of them it would start again by itself.

    Raises:
        NotVerified: no command is declared, it would change this machine, or there is no systemctl.
    """
    enable = workshop.config.enable
    if enable is None and has_containers(workshop.config):
        return Kept(forgotten=tuple(workshop.first_start.must_serve().stack.forgotten_at_boot()))
    if enable is None:
        raise NotVerified(
            "what lets the machine's start start the deployment is not declared: [tool.deploycheck] enable names a "
            "command that honours DESTDIR"
        )
    copy = workshop.run.copy()
    script = Path(copy.argv(enable)[0])
    if not script.is_file() or b"DESTDIR" not in script.read_bytes():
        raise NotVerified(f"{enable} does not honour DESTDIR: it was not run, it would change this machine")
    require("systemctl", copy.root / ".venv", install="apt-get install systemd")
    machine = copy.root.with_suffix(".machine")
    (machine / "etc/systemd/system").mkdir(parents=True)
    command = copy.call(enable, {"DESTDIR": str(machine)})
    units = units_of_the_start(machine)
    before, start, usual, typed = None, None, False, list[str]()
    steps = [f"{enable} with DESTDIR=an empty folder"]
    if workshop.boots_machines:
        steps.append("a machine with it was booted, and nothing was typed")
        usual, typed = True, workshop.first_start.stack.typed
    elif units:
        unit = units[0]
        steps.append(
            f"what {unit.name} runs: {'; '.join(unit.commands('ExecStart'))}".replace(f"{copy.root}/", "")
        )
        usual = _is_usual(workshop, copy, unit)
        if not usual:
            before, start = _start(workshop, copy, unit)
    return Enabled(
        steps=tuple(steps),
        command=command,
        written=tuple(written_units(machine)),
        pulled_in=tuple(unit.name for unit in units),
        complaints="\n".join(filter(None, (_complaints(copy, unit) for unit in units))),
        before=before,
        usual=usual,
        start=start,
        typed=tuple(typed),
    )


def _is_usual(workshop: Workshop, copy: ProjectCopy, unit: Unit) -> bool:
    """Tell whether a unit runs the start command alone; that was watched already, started by nothing else."""
    commands = [shlex.split(command) for command in unit.commands("ExecStart")]
    start = workshop.config.start
    return bool(start) and commands == [copy.argv(str(start))] and not unit.commands("ExecStartPre")


def _start(workshop: Workshop, copy: ProjectCopy, unit: Unit) -> tuple[Finished | None, Start | None]:
    """Run what a unit runs, one command after the other."""
    for command in unit.commands("ExecStartPre"):
        done = copy.call(command, unit.environment)
        if done.status != 0:
            return done, None
    commands = unit.commands("ExecStart")
    if not commands:
        return None, None
    stack = workshop.stack(copy=copy)
    try:
        return None, start_and_watch(stack, unit.environment, folder=unit.folder, command=commands[-1])
    finally:
        stack.end()


def _complaints(copy: ProjectCopy, unit: Unit) -> str:
    """Return what ``systemd-analyze`` says of a unit; nothing where it is not installed. Its status tells little."""
    done = copy.call(f"systemd-analyze verify --man=no --recursive-errors=no {shlex.quote(str(unit.file))}")
    lines = done.output.replace(str(unit.file), unit.name).splitlines()
    return "\n".join(line for line in lines if line.startswith(unit.name))
