"""Runs of ``pytest --deploycheck`` that go on while a test watches them, and interrupts them."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from harness import pytest_in


def start(project: Path, tmp: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a run whose sandbox is made below ``tmp``."""
    return subprocess.Popen(
        [
            *pytest_in(project),
            "-p",
            "no:cacheprovider",
            "--deploycheck",
            *arguments,
            "pyproject.toml",
        ],
        cwd=project,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
        | {"TMPDIR": str(tmp)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=_as_in_a_terminal,  # noqa: PLW1509  (there is no other thread)
    )


def _as_in_a_terminal() -> None:
    """Let Ctrl-C and a closed terminal count: who starts this test in the background has them ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
