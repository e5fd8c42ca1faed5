"""GitHub Actions: annotations at the lines where a failure is mended.

https://docs.github.com/actions/reference/workflow-commands-for-github-actions
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.outcome import Status
from pytest_deploycheck.report.document import Report

COMMANDS = {Status.FAILED: "error", Status.WARNED: "warning"}
PLACE = re.compile(r"(?<![\w./-])(\w[\w./-]*):(\d{1,6})(?=:|\s|$)")


def is_running() -> bool:
    """Tell whether this is a job of GitHub Actions."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotate(report: Report, root: Path) -> list[str]:
    """Return a workflow command for each failure, at its place in the project, which is at ``root``.

    What blocks others is told once: GitHub shows ten errors of a step.
    """
    lines = []
    for result in report.with_status(*COMMANDS):
        seen = result.seen or result.detail
        said = [seen, *map(str, result.advice), result.fix, result.learn]
        title = f"{result.id}: {result.title}"
        place = _place(seen, result.advice, root)
        lines.append(_command(COMMANDS[result.status], title, said, place, root))
    for reason, results in report.blocked_by.items():
        title = f"blocked: {', '.join(result.id for result in results)}"
        lines.append(_command("error", title, [reason], _place(reason, (), root), root))
    return lines


def _place(seen: str, advice: Sequence[Advice], root: Path) -> Advice | None:
    """Return the first file and line that what was seen names, or else the advice; one without a line if need be."""
    named = [Advice(file, int(line), "") for file, line in PLACE.findall(seen) if (root / file).is_file()]
    places = [*named, *advice]
    return next((place for place in places if place.line), places[0] if places else None)


def _command(command: str, title: str, said: Sequence[str], place: Advice | None, root: Path) -> str:
    properties = [f"title={_property(title)}"]
    if place and place.line:
        properties.insert(0, f"line={place.line}")
    if place:
        properties.insert(0, f"file={_property(_from_workspace(root / place.file))}")
    message = "\n".join(filter(None, said))
    return f"::{command} {','.join(properties)}::{_message(message)}"


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
