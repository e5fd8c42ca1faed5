"""Where a project says how its server is started: the likeliest for production first."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from pytest_deploycheck.detection import dockerfile, managers
from pytest_deploycheck.detection.app import App
from pytest_deploycheck.detection.compose import find_compose_files, read_compose
from pytest_deploycheck.detection.files import ProjectFiles
from pytest_deploycheck.detection.finding import Finding, ServerCommand
from pytest_deploycheck.detection.scripts import starts_a_server, with_server
from pytest_deploycheck.detection.words import USUAL_PORT

SCRIPTS = r"(docker-)?(start|run|serve|entrypoint|start-server|prestart-and-run|gunicorn_start)(\.sh)?"
PLATFORM = "the platform that reads the Procfile"


def find_commands(files: ProjectFiles, app: App | None, stated: str | None) -> list[ServerCommand]:
    """Return all commands that start a server of the app: the stated one first, those for development last.

    Without any it is what everybody types: ``uvicorn module:app``.
    """
    written = (*_composed(files), *_images(files), *_procfile(files), *_units(files), *_scripts(files))
    found = [command for one in written if (command := with_server(files, one)).words]
    found.sort(key=lambda command: command.is_for_development)
    if app and not any(not command.is_for_development for command in found):
        found.insert(0, _usual(app))
    return [_stated(files, stated, found), *found] if stated else found


def _stated(files: ProjectFiles, line: str, found: list[ServerCommand]) -> ServerCommand:
    """Return the command of ``[tool.deploycheck]``, with all that is known of it where a file has it too."""
    known = next((command for command in found if command.line == line), None)
    lines = files.lines("pyproject.toml")
    number = next((number for number, text in lines if re.match(r"(command|start)\s*=", text)), 1)
    at = Finding(kind="command", value=line, file="pyproject.toml", line=number)
    is_shell = re.search(r"[;&|<>$`]|^exec\s", line) is not None
    return known or with_server(files, ServerCommand(line=line, is_shell=is_shell, found=at))


def _composed(files: ProjectFiles) -> Iterator[ServerCommand]:
    for file in find_compose_files(files):
        if command := read_compose(files, file).command:
            yield command


def _images(files: ProjectFiles) -> Iterator[ServerCommand]:
    for file in dockerfile.find_dockerfiles(files):
        if command := dockerfile.command_of(files, file):
            yield command


def _procfile(files: ProjectFiles) -> Iterator[ServerCommand]:
    for file in files.named("Procfile"):
        release = next(
            (text.partition(":")[2].strip() for _, text in files.lines(file) if text.startswith("release:")),
            "",
        )
        for number, text in files.lines(file):
            if found := re.match(r"web\s*:\s*(.+)", text):
                line = found[1].strip()
                yield ServerCommand(
                    line=line,
                    is_shell=True,
                    found=Finding(kind="command", value=line, file=file, line=number),
                    folder=str(PurePosixPath(file).parent),
                    # A platform tells the port by this name, and lets the app choose none.
                    environment={"PORT": str(USUAL_PORT)},
                    runner=PLATFORM,
                    before=release,
                    port=USUAL_PORT,
                    # https://devcenter.heroku.com/articles/dyno-shutdown-behavior; foreman and honcho do so too.
                    stops_all=True,
                )


def _units(files: ProjectFiles) -> Iterator[ServerCommand]:
    """Yield the server of a systemd unit or of a Supervisor program without a proxy beside it."""
    for file in files.named(rf".+\.service|{managers.SUPERVISOR}"):
        section = ""
        for number, text in files.lines(file):
            line = text.strip()
            if line.startswith("["):
                section = line.strip("[]")
            found = re.match(r"(?:ExecStart|command)\s*=\s*(.+)", line)
            if found:
                yield ServerCommand(
                    line=_without_folder(found[1]),
                    is_shell=False,
                    found=Finding(kind="command", value=found[1], file=file, line=number),
                    stops_all=file.endswith(".service"),  # KillMode=control-group is systemd's default
                    runner=f"{'systemd' if file.endswith('.service') else 'Supervisor'} ({file} [{section}])",
                )


def _without_folder(line: str) -> str:
    """Return a unit's command with the server's name alone: production's folders are not here."""
    return re.sub(r"^[-@:+!]*\S*/(?=[\w.-]+(\s|$))", "", line)


def _scripts(files: ProjectFiles) -> Iterator[ServerCommand]:
    for file in files.named(SCRIPTS):
        executable = os.access(files.root / file, os.X_OK)
        line = f"./{file}" if executable else f"sh {file}"
        number = next((number for number, text in files.lines(file) if starts_a_server(text)), 1)
        yield ServerCommand(
            line=line, is_shell=False, found=Finding(kind="command", value=line, file=file, line=number)
        )


def _usual(app: App) -> ServerCommand:
    factory = " --factory" if app.is_factory else ""
    line = f"uvicorn {app.target}{factory}"
    return ServerCommand(
        line=line,
        is_shell=False,
        found=Finding(kind="command", value=line, file=app.found.file, line=app.found.line),
        folder=app.folder,
        port=USUAL_PORT,
    )
