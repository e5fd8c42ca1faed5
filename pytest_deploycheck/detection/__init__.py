"""What a project's files say of its deployment. Nothing here is run, and nothing here is sure.

``[tool.deploycheck]`` always wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from pytest_deploycheck.detection import surroundings
from pytest_deploycheck.detection.app import App, find_apps
from pytest_deploycheck.detection.commands import find_commands
from pytest_deploycheck.detection.compose import find_compose_files
from pytest_deploycheck.detection.database import defaults_in_code, find_database
from pytest_deploycheck.detection.files import ProjectFiles
from pytest_deploycheck.detection.finding import Finding, ServerCommand
from pytest_deploycheck.detection.routes import find_routes, settings_of

ANY_HOST = "localhost"


@dataclass(frozen=True, kw_only=True)
class Detected:
    """What was found, the likeliest of each kind first.

    Attributes:
        apps: ASGI apps, and functions that make one.
        commands: how the server is started.
        settings: what ``[tool.deploycheck]`` would say, by setting; those of ``requests`` are named ``requests.live``.
        defaults: values of variables that the environment does not hold, as the code has them.
        proxies: configurations of proxies.
        migrations: Alembic's settings, or Django's migrations.
    """

    apps: list[App]
    commands: list[ServerCommand]
    settings: dict[str, Finding]
    defaults: dict[str, str] = field(default_factory=dict)
    proxies: list[Finding] = field(default_factory=list)
    migrations: Finding | None = None

    @property
    def app(self) -> App | None:
        """The app that is run, as far as the files tell."""
        words = self.command.words if self.command else None
        named = [app for app in self.apps if words and words.target and _is_meant(words.target, app)]
        return next(iter(named or self.apps), None)

    @property
    def command(self) -> ServerCommand | None:
        """The command that is run."""
        return next(iter(self.commands), None)

    @cached_property
    def table(self) -> dict[str, Any]:
        """The settings in the form of the table."""
        table: dict[str, Any] = {}
        for key, finding in self.settings.items():
            value: str | int = finding.value
            if key == "workers":
                if not re.fullmatch(r"\d+|\$\w+", finding.value):
                    continue  # it is computed: nobody can read it
                value = int(finding.value) if finding.value.isdecimal() else finding.value
            if key.startswith("requests."):
                table.setdefault("requests", {})[key.removeprefix("requests.")] = value
            else:
                table[key] = value
        return table


def detect(root: Path, *, command: str | None = None) -> Detected:
    """Look through the files of the project in ``root``; ``command`` is the one that is stated, if one is."""
    files = ProjectFiles(root)
    apps = find_apps(files)
    commands = find_commands(files, apps[0] if apps else None, command)
    found = Detected(
        apps=apps,
        commands=commands,
        settings={},
        defaults=defaults_in_code(files),
        proxies=surroundings.find_proxies(files),
        migrations=surroundings.find_migrations(files),
    )
    found.settings.update(_settings(files, found))
    return found


def _is_meant(target: str, app: App) -> bool:
    return target.removesuffix("()") == app.target or target.partition(":")[0] == app.module


def _settings(files: ProjectFiles, found: Detected) -> Iterator[tuple[str, Finding]]:
    app, command = found.app, found.command
    if app:
        yield "app", app.found
    env_file = surroundings.find_env_file(files)
    if env_file:
        yield "env_file", env_file
    if domain := surroundings.find_domain(files):
        yield "domain", domain
    environment = _environment(files, command, env_file)
    sources = tuple(one.file for one in (env_file, command.found if command else None) if one)
    if url := find_database(files, (*sources, *find_compose_files(files)), environment):
        yield "database_url", url
    if command and command.words:
        yield from _told_by(files, command, app, environment)
    routes = find_routes(files)
    for key, route in settings_of(routes).items():
        yield f"requests.{key}", route


def _environment(
    files: ProjectFiles, command: ServerCommand | None, env_file: Finding | None
) -> Mapping[str, str]:
    values = dict(command.environment) if command else {}
    if env_file:
        try:
            read = dotenv_values(files.root / env_file.file, encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            read = {}
        values |= {name: value or "" for name, value in read.items()}
    return values


def _told_by(
    files: ProjectFiles, command: ServerCommand, app: App | None, environment: Mapping[str, str]
) -> Iterator[tuple[str, Finding]]:
    """Yield what the command's words say."""
    words, at = command.words, command.found
    assert words
    workers = _workers(files, command, environment)
    if workers:
        yield "workers", workers
    prefix = words.root_path or (app.root_path if app else "")
    if prefix.startswith("/"):
        where = at if words.root_path or not app else app.found
        yield "path_prefix", Finding(kind="path_prefix", value=prefix, file=where.file, line=where.line)
    before = command.before or words.before
    if before and command.folder == "." and not re.search(r"[|&;<>$`]", before):
        yield "previous_steps", Finding(kind="previous_steps", value=before, file=at.file, line=at.line)


def _workers(files: ProjectFiles, command: ServerCommand, environment: Mapping[str, str]) -> Finding | None:
    """Return the number of workers: a number, ``$NAME`` if the environment has it, or an expression nobody can read."""
    words, at = command.words, command.found
    assert words
    said = words.workers
    found = _workers_of_gunicorn(files, command) if said is None and words.server == "gunicorn" else None
    if found is None and said is None and "WEB_CONCURRENCY" in environment:
        said = "$WEB_CONCURRENCY"
    if found is None and said:
        found = Finding(kind="workers", value=said, file=at.file, line=at.line)
    if found is None or not found.value.startswith("$") or found.value[1:] in environment:
        return found
    default = words.workers_otherwise
    return replace(found, value=default) if default else None


def _workers_of_gunicorn(files: ProjectFiles, command: ServerCommand) -> Finding | None:
    """Return what Gunicorn's settings file says of workers: a number, or the variable that holds it."""
    name = re.search(r"(?:-c|--config)[ =](?:file:)?(\S+\.py)", command.server_line or command.line)
    file = command.in_project(name[1]) if name else "gunicorn.conf.py"
    for candidate in (file, f"{command.folder}/{file}".removeprefix("./")):
        for number, line in files.lines(candidate):
            if found := re.match(r"workers\s*=\s*(.+?)\s*(#.*)?$", line):
                value = found[1]
                variable = re.search(r"(?:getenv|environ(?:\.get)?)[(\[]\s*[\"'](\w+)", value)
                text = f"${variable[1]}" if variable else value
                return Finding(kind="workers", value=text, file=candidate, line=number)
    return None
