"""GitHub Actions: annotations at the lines where a failure is mended.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from pytest_deploycheck.outcome import Result, Status
from pytest_deploycheck.report.document import Report

COMMANDS = {Status.FAILED: "error", Status.WARNED: "warning"}


def is_running() -> bool:
    """Tell whether this is a job of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotate(report: Report, root: Path) -> list[str]:
    """Return a workflow command for each failure and each place in the project, which is at ``root``.

    What blocks others is told once.
    """
    lines = [line for result in report.with_status(*COMMANDS) for line in _commands(result, root)]
    return lines + [f"::error title=deployment::{_message(reason)}" for reason in report.blocked_by]


def _commands(result: Result, root: Path) -> Iterator[str]:
    command = COMMANDS[result.status]
    said = f"{result.seen or result.detail}\n{result.fix}\n{result.learn}"
    title = f"title={_property(f'{result.id}: {result.title}')}"
    if not result.advice:
        yield f"::{command} {title}::{_message(said)}"
    for advice in result.advice:
        place = f"file={_property(_from_workspace(root / advice.file))}"
        if advice.line:
            place += f",line={advice.line}"
        message = _message(f"{advice.text}\n{said}")
        yield f"::{command} {place},{title}::{message}"


def _from_workspace(file: Path) -> str:
    """Return a file as the repository knows it: the project may be in a folder of its own."""
    workspace = Path(os.environ.get("GITHUB_WORKSPACE", "."))
    file, workspace = file.absolute(), workspace.absolute()
    return str(file.relative_to(workspace)) if file.is_relative_to(workspace) else str(file)


def _message(text: str) -> str:
    """Write a text so that it is one line, and can begin no command of its own."""
    return re.sub(r"[%\r\n]", lambda found: f"%{ord(found[0]):02X}", "\n".join(text.splitlines()))


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def harmless(text: str) -> str:
    """Return a text of the project's, such as its logs, in which no line is taken for a command of the job."""
    return re.sub(r"(?m)^(\s*)(::|##\[)", r"\1 | \2", text)
