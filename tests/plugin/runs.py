"""Runs of ``pytest --deploycheck`` that go on while a test watches them, and interrupts them."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from harness import pytest_in

from pytest_deploycheck.sandbox.guardian import environment_of


def start(project: Path, tmp: Path, *arguments: str) -> subprocess.Popen[str]:
    """Start a run of checks whose sandbox is made below ``tmp``; of own tests, too, where arguments name some."""
    return subprocess.Popen(
        [
            *pytest_in(project),
            "-p",
            "no:cacheprovider",
            f"--basetemp={project.parent / 'of-own-tests'}",
            "--deploycheck",
            *arguments,
            "pyproject.toml",
        ],
        cwd=project,
        env={**_environment(), "TMPDIR": str(tmp)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=_as_in_a_terminal,  # noqa: PLW1509  (there is no other thread)
    )


def _environment() -> dict[str, str]:
    """Return the environment without what it says of the pytest that runs this."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}


def _as_in_a_terminal() -> None:
    """Let Ctrl-C and a closed terminal count: who starts this test in the background has them ignored."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def processes_of(tmp: Path) -> list[int]:
    """Return the live processes that were started in a sandbox below ``tmp``."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    return [pid for pid in pids if f"DEPLOYCHECK_EVENTS={tmp}/".encode() in environment_of(pid)]


def pytest_with(project: Path, *arguments: str, remembers: bool = False) -> subprocess.CompletedProcess[str]:
    """Run pytest in a project, with its own tests unless other arguments are given; it may remember what failed."""
    return subprocess.run(
        [*pytest_in(project), *([] if remembers else ["-p", "no:cacheprovider"]), *arguments],
        cwd=project,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
