"""``deploycheck lab``: your own project is broken in a real way, and you mend it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_deploycheck import platforms
from pytest_deploycheck.commands.error import CommandError

if TYPE_CHECKING:
    from pytest_deploycheck.labs.workbench import Workbench

DESCRIPTION = """\
A lab breaks the project that you are in, on a git branch of its own, and tells a symptom, as a colleague would.
You find the fault and mend it; `check` says when the deployment is whole again, by behaviour.
"""
EPILOG = """\
the way through a lab:
  deploycheck lab list                     what there is, by concept
  deploycheck lab start exit-code-zero     your files are now broken, on the branch lab/exit-code-zero
  deploycheck lab check --watch            is it mended? again after each save
  deploycheck lab hint                     four of them; only the last one gives the fix away
  deploycheck lab leave                    back to your branch; the next start goes on where you were
  deploycheck lab reset                    back to your branch; the next start begins anew

Nothing that you wrote is lost: what is not committed is committed to the lab's branch before it is left, and a tree
that is not clean is refused.
"""

Command = Callable[["Workbench", argparse.Namespace], int]


CHECK_EPILOG = """\
Only what passed is green: a check that was waived, or whose tool is missing, is not.

exit status: 0 all checks of the lab are green, 1 something is red, 2 refused, 130 Ctrl-C
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand and those below it."""
    raw = argparse.RawDescriptionHelpFormatter
    text = "labs: your project is broken in a real way, and you mend it"
    parser = commands.add_parser(
        "lab", help=text, description=DESCRIPTION, epilog=EPILOG, formatter_class=raw
    )
    parser.set_defaults(parser=parser)
    below = parser.add_subparsers(metavar="COMMAND", title="commands")

    def command(name: str, text: str, more: str = "") -> argparse.ArgumentParser:
        description = f"{text[0].upper()}{text[1:]}. {more}".strip()
        made = below.add_parser(name, help=text, description=description, formatter_class=raw)
        made.set_defaults(run=_run, command=name)
        return made

    command("list", "list the labs by concept, and whether they fit this project")
    start = command(
        "start",
        "break the project, on a branch of its own",
        "A tree with changes that are not\ncommitted is refused. A lab that you have left goes on where you were.",
    )
    start.add_argument("name", metavar="NAME", help="as `deploycheck lab list` shows it")
    check = command("check", "run the lab's checks, and say what is still red")
    check.add_argument(
        "--watch", action="store_true", help="run them again after each save, until they are green"
    )
    check.epilog = CHECK_EPILOG
    command("hint", "show the next hint, after those that you have seen")
    command("diff", "show what you have changed since the lab began")
    command("leave", "go back to the branch that you came from; the attempt is saved")
    command(
        "reset", "go back to the branch that you came from, and begin anew next time; the attempt is kept"
    )
    command("solve", "put the solution in the place of your changes, which are saved before")
    command("status", "show what is open, and what you have solved")


def _run(arguments: argparse.Namespace) -> int:
    if not platforms.is_supported():
        raise CommandError(platforms.refusal("deploycheck lab"))
    from pytest_deploycheck.labs import desk
    from pytest_deploycheck.labs.workbench import Workbench

    if arguments.command == "list":
        return desk.list_labs(Path.cwd())
    command: Command = desk.COMMANDS[arguments.command]
    return command(Workbench(Path.cwd()), arguments)
