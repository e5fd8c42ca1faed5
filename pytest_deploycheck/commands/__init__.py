"""The command ``deploycheck``. Each module here is one subcommand: ``add`` declares it, and sets ``run``.

One with further commands below it sets ``parser``, whose help is shown where none of these is given.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from pytest_deploycheck.commands import doctor, explain, init, lab
from pytest_deploycheck.commands.error import CommandError
from pytest_deploycheck.config import ConfigError

MODULES = (doctor, explain, init, lab)

EPILOG = """\
to begin with:
  deploycheck doctor             what can be checked on this machine, and what to install for the rest
  deploycheck explain            what is detected in this project, and what will be run
  deploycheck init               write [tool.deploycheck] with what is detected
  pytest --deploycheck           check the deployment of the project in this folder
  deploycheck lab list           labs: your project is broken in a real way, and you mend it

exit status: 0 all is well, 1 something is red or missing, 2 refused, 130 Ctrl-C
"""


def parser() -> argparse.ArgumentParser:
    """Return the parser of all subcommands."""
    made = argparse.ArgumentParser(
        prog="deploycheck",
        description="Prove the deployment of a FastAPI project, and learn to mend one.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = made.add_subparsers(metavar="COMMAND", title="commands")
    for module in MODULES:
        module.add(commands)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run a subcommand and return the exit status; what goes wrong is told in one line."""
    made = parser()
    arguments = made.parse_args(argv)
    if not hasattr(arguments, "run"):
        getattr(arguments, "parser", made).print_help()
        return 2
    try:
        status = int(arguments.run(arguments))
        sys.stdout.flush()
    except (CommandError, ConfigError) as error:
        print(f"deploycheck: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ndeploycheck: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as with `| head`; else Python complains when it closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status
