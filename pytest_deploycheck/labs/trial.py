"""A trial of a lab: a run of its checks and nothing else."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from pytest_deploycheck.commands.error import CommandError
from pytest_deploycheck.labs.repository import undisturbed
from pytest_deploycheck.outcome import Result

LOOK_EVERY_S = 0.5
# pytest, without what the project wants of it for its own tests.
QUIETLY = ("-q", "-p", "no:cacheprovider", "-o", "addopts=", "-o", "filterwarnings=")


def run(root: Path, ids: Iterable[str], while_waiting: Callable[[float], None]) -> list[Result]:
    """Run some checks of a project, and return their results.

    Args:
        root: the project's folder.
        ids: the checks.
        while_waiting: is called again and again with the seconds that it takes so far.

    Raises:
        CommandError: pytest did not get as far as to a result.
    """
    wanted = ",".join(ids)
    with tempfile.TemporaryDirectory(prefix="deploycheck-") as folder:
        options = (f"--rootdir={root}", f"--deploycheck-select={wanted}", f"--deploycheck-report={folder}")
        command = [sys.executable, "-m", "pytest", *QUIETLY, "--deploycheck", *options, "pyproject.toml"]
        output = _run(command, root, Path(folder, "output"), while_waiting)
        report = Path(folder, "report.json")
        checks = json.loads(report.read_text(encoding="utf-8"))["checks"] if report.exists() else []
    if not checks:
        raise CommandError(f"the checks did not run: {_last_words(output)}")
    return [Result.from_json(check) for check in checks]


def _run(command: list[str], root: Path, log: Path, while_waiting: Callable[[float], None]) -> str:
    """Run pytest to its end. At Ctrl-C it is told once, and waited for while it ends all that it has started."""
    start = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # else it would get Ctrl-C twice, and give up its cleaning
        )
        try:
            while process.poll() is None:
                while_waiting(time.monotonic() - start)
                time.sleep(LOOK_EVERY_S)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
                with undisturbed():
                    process.wait()
    return log.read_text(encoding="utf-8", errors="replace")


def _last_words(output: str) -> str:
    lines = [line for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(ERROR|E  |error|.*[Ee]rror:)", line)]
    return (errors or lines or ["pytest said nothing"])[-1]
