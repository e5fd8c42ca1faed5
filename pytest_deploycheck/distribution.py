"""With pytest-xdist's ``-n``: one of the N processes makes the checks, the others run the project's own tests.

Checks share stacks, which a second process would have to start once more.
"""

from __future__ import annotations

import argparse

import pytest

from pytest_deploycheck import arguments, platforms


def take_a_process(config: pytest.Config) -> bool:
    """Take one of the processes for the checks; tell whether there is one that they can have.

    Processes of ``--tx``, which may be on other machines, are left alone. Call it before pytest-xdist looks at its
    options.
    """
    option = config.option
    own, checks = arguments.split(config)
    if getattr(option, "dist", "no") == "no" or option.collectonly or not platforms.is_supported():
        return False
    if (checks and not own) or getattr(option, "lf", False):  # --lf looks at checks and own tests together
        _keep(option, 0)
        return False
    if option.numprocesses:
        processes = len(option.tx)
        _keep(option, processes - 1)
        return processes > 1
    return True


def _keep(option: argparse.Namespace, processes: int) -> None:
    """Let pytest-xdist start so many; instead of one, this process itself is used, which has imported all already."""
    kept = processes if processes > 1 else 0
    option.tx, option.numprocesses = option.tx[:kept], kept
    if not kept:
        option.dist = "no"


def is_worker(config: pytest.Config) -> bool:
    """Tell whether this is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")
