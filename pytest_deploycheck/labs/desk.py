"""The commands of ``deploycheck lab``: what a learner reads."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pytest_deploycheck.check import Concept
from pytest_deploycheck.commands.error import CommandError
from pytest_deploycheck.config import ConfigError
from pytest_deploycheck.labs import trial, watch
from pytest_deploycheck.labs.lab import all_labs, find
from pytest_deploycheck.labs.progress import Attempt, now
from pytest_deploycheck.labs.text import Pen, waiting
from pytest_deploycheck.labs.workbench import Current, Workbench
from pytest_deploycheck.outcome import Status

pen = Pen()


def list_labs(folder: Path) -> int:
    """All labs, by concept; outside of a project too."""
    attempts: dict[str, Attempt] = {}
    reasons: dict[str, str] = {}
    last = "Begin with: deploycheck lab start NAME"
    try:
        bench = Workbench(folder)
        reasons = {lab.name: bench.why_not(lab) for lab in all_labs()}
        attempts = bench.progress.attempts
    except (CommandError, ConfigError) as error:
        last = f"They cannot begin here: {error}"
    for concept in Concept:
        pen.head(concept.title)
        for lab in (lab for lab in all_labs() if lab.concept is concept):
            attempt = attempts.get(lab.name)
            mark = ("solved" if attempt.solved else "open") if attempt else ""
            path = "core" if lab.core else ""
            pen.row(lab.name, f"{lab.minutes} min  {path:4}  {lab.title}", mark)
            if reason := reasons.get(lab.name):
                pen.row("", f"does not fit: {reason}")
    pen.say(f"\ncore: the core path of the course; the others are further practice.\n{last}")
    return 0


def start(bench: Workbench, arguments: argparse.Namespace) -> int:
    """Break the project, and tell the symptom."""
    lab = find(arguments.name)
    is_new = bench.start(lab)
    current = bench.require_current()
    pen.head(f"{lab.title}  ({lab.concept.title}, about {lab.minutes} minutes)")
    pen.text(lab.symptom)
    where = "Your files are broken now" if is_new else "You go on where you were"
    pen.say(f"\n{where}, on the branch lab/{lab.name}; {current.attempt.origin} is as it was.")
    pen.say("Is it mended? deploycheck lab check --watch     Stuck? deploycheck lab hint")
    return 0


def check(bench: Workbench, arguments: argparse.Namespace) -> int:
    """Run the lab's checks once, or again after each save until they are green."""
    bench.require_current()
    while True:
        seen = watch.look(bench.repository)
        try:
            if _check_once(bench):
                return 0
        except CommandError as error:
            if not arguments.watch:
                raise
            pen.say(f"\n{error}")  # a file that was saved half-way
        if not arguments.watch:
            return 1
        pen.say("\nWaiting until you save a file; Ctrl-C ends it.")
        changed = watch.wait_for_change(bench.repository, seen)
        bench.require_current()
        pen.say(f"\nChanged: {', '.join(changed[:3])}{' …' if len(changed) > 3 else ''}")


def _check_once(bench: Workbench) -> bool:
    lab = bench.require_current().lab
    with waiting(f"{lab.title}: running {', '.join(lab.checks)}") as tick:
        results = trial.run(bench.project.root, lab.checks, tick)
    bench.progress.read()
    current = bench.require_current()
    current.attempt.checks += 1
    is_green = all(result.status is Status.PASSED for result in results) and len(results) == len(lab.checks)
    if is_green and current.attempt.solved is None:
        current.attempt.solved = now()
    bench.progress.save()
    for result in results:
        pen.verdict(result)
        if result.status is not Status.PASSED:
            # Not what the failure says further on, which is how it is mended.
            pen.text(f"{lab.says[result.id]}\n\nSeen: {result.seen or result.detail}", indent=4)
    if is_green:
        _show_victory(bench, current)
    else:
        pen.say(f"\nNot yet. {_hints_left(current)}")
    return is_green


def _show_victory(bench: Workbench, current: Current) -> None:
    lab = current.lab
    pen.head(f"{lab.title}: mended")
    pen.text(lab.victory)
    for why in lab.false_fixes_for(bench.project).values():
        pen.text(f"What does not help: {why}")
    pen.say(f"\nBack to {current.attempt.origin}: deploycheck lab leave     All labs: deploycheck lab list")


def _hints_left(current: Current) -> str:
    left = len(current.lab.hints) - current.attempt.hints
    return f"Hints left: {left} (deploycheck lab hint)" if left else "The solution: deploycheck lab solve"


def hint(bench: Workbench, _: argparse.Namespace) -> int:
    """Show the hints so far, and one more."""
    current = bench.require_current()
    lab, attempt = current.lab, current.attempt
    attempt.hints = min(attempt.hints + 1, len(lab.hints))
    bench.progress.save()
    for number, text in enumerate(lab.hints[: attempt.hints], 1):
        pen.head(f"Hint {number} of {len(lab.hints)}")
        pen.text(text)
    pen.say(f"\n{_hints_left(current)}")
    return 0


def diff(bench: Workbench, _: argparse.Namespace) -> int:
    """Show the learner's changes."""
    changes = bench.difference(colour=sys.stdout.isatty())
    pen.say(changes or "You have changed nothing yet.")
    return 0


def leave(bench: Workbench, _: argparse.Namespace) -> int:
    """Go back."""
    name = bench.require_current().lab.name
    origin, saved = bench.leave()
    pen.say(f"Back on {origin}." + (f" Your changes are committed on lab/{name}." if saved else ""))
    pen.say(f"To go on: deploycheck lab start {name}")
    return 0


def reset(bench: Workbench, _: argparse.Namespace) -> int:
    """Go back, and forget where the learner was."""
    name = bench.require_current().lab.name
    origin, kept = bench.reset()
    pen.say(f"Back on {origin}." + (f" Your attempt is kept on the branch {kept}." if kept else ""))
    pen.say(f"To begin anew: deploycheck lab start {name}")
    return 0


def solve(bench: Workbench, _: argparse.Namespace) -> int:
    """Show the solution, in the files."""
    current = bench.require_current()
    saved = bench.solve()
    if saved:
        pen.say("Your changes are committed, before the solution: git log shows them.\n")
    pen.say(bench.difference(colour=sys.stdout.isatty()))
    pen.say(f"The solution of {current.lab.name} is in your files now. deploycheck lab check explains it.")
    return 0


def status(bench: Workbench, _: argparse.Namespace) -> int:
    """Show the progress over all labs."""
    attempts = bench.progress.attempts
    for concept in Concept:
        labs = [lab for lab in all_labs() if lab.concept is concept]
        solved = sum(1 for lab in labs if lab.name in attempts and attempts[lab.name].solved)
        pen.head(f"{concept.title}: {solved} of {len(labs)}")
        for lab in labs:
            if attempt := attempts.get(lab.name):
                when = f"solved {attempt.solved[:10]}" if attempt.solved else "open"
                shown = ", solution shown" if attempt.solution_shown else ""
                counts = f"{_counted(attempt.hints, 'hint')}, {_counted(attempt.checks, 'check')}"
                pen.row(lab.name, f"{when}, {counts}{shown}")
    current = bench.current
    pen.say(f"\nOpen now: {current.lab.name}" if current else "\nNo lab is open. See: deploycheck lab list")
    return 0


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


COMMANDS = {
    "start": start,
    "check": check,
    "hint": hint,
    "diff": diff,
    "leave": leave,
    "reset": reset,
    "solve": solve,
    "status": status,
}
