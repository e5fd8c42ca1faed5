"""What a command of the project finds in the sandbox."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pytest_deploycheck.reader import load
from pytest_deploycheck.sandbox.run import Run


def test_the_testers_umask_hides_nothing(baked: Callable[..., Path]) -> None:
    """What the project leaves open to everybody is open in the sandbox, also with a strict umask of the tester."""
    before = os.umask(0o077)
    run = Run(load(baked(app_server="gunicorn")))
    try:
        copy = run.copy()
        assert copy.call("sh -c umask").output.strip() == "0022"
        assert copy.root.stat().st_mode & 0o777 == 0o755
    finally:
        run.close()
        os.umask(before)
