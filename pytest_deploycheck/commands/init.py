"""``deploycheck init``: write ``[tool.deploycheck]``, filled in with what was detected, after asking."""

from __future__ import annotations

import argparse
import json
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_deploycheck.commands.error import CommandError

if TYPE_CHECKING:
    from pytest_deploycheck.detection import Detected

DESCRIPTION = """\
Append the table [tool.deploycheck] to pyproject.toml, with a comment for each setting. What stands there is not
touched, and a table that is there already is never overwritten. Each value is asked for; Enter takes what was detected.
"""
FILE = "pyproject.toml"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """A line of the table: ``example`` is shown in a comment where nothing was detected."""

    name: str
    comment: str
    example: str


SETTINGS = (
    Setting(name="app", comment="the ASGI app, as module:name", example="package.main:app"),
    Setting(
        name="command",
        comment="what starts its server in production, where no manager_config is named",
        example="uvicorn package.main:app",
    ),
    Setting(
        name="manager_config",
        comment="Supervisor's configuration, or the folder of systemd units, that runs app and proxy",
        example="deploy/supervisord.conf",
    ),
    Setting(name="domain", comment="the public name, or $NAME of a variable", example="api.example.com"),
    Setting(name="env_file", comment="the file with the deployment's values", example=".env"),
    Setting(name="workers", comment="how many workers must serve", example="$WEB_CONCURRENCY"),
    Setting(name="database_url", comment="as SQLAlchemy writes it", example="$DATABASE_URL"),
    Setting(
        name="previous_steps", comment="what is done before the server starts", example="alembic upgrade head"
    ),
    Setting(name="path_prefix", comment="the public path below which the app is served", example="/api"),
    Setting(name="requests.live", comment="200 while the process works", example="/health/live"),
    Setting(
        name="requests.ready", comment="200 when requests can be answered, else 503", example="/health/ready"
    ),
    Setting(name="requests.read", comment="an ordinary request that reads", example="/"),
    Setting(name="requests.metrics", comment="Prometheus metrics", example="/metrics"),
)


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "init",
        help="write [tool.deploycheck] into pyproject.toml, with what was detected, after asking",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--yes", action="store_true", help="ask nothing: take what was detected")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Ask, and write."""
    from pytest_deploycheck.detection import detect
    from pytest_deploycheck.reader import table_of

    root = Path.cwd()
    if table_of(root):
        raise CommandError(f"{FILE} has a table [tool.deploycheck] already: edit it there")
    if not arguments.yes and not sys.stdin.isatty():
        raise CommandError("there is no terminal to ask in: add --yes to take what was detected")
    found = detect(root)
    if not found.apps and not found.commands:
        raise CommandError(
            f"neither an ASGI app nor a server command was found in {root}: is it the project's folder?"
        )
    detected = _values(found, root)
    values = detected if arguments.yes else _asked(detected)
    _append(root / FILE, "\n".join(_table(values, found)))
    print(f"[tool.deploycheck] is in {FILE} now. Next: deploycheck explain, pytest --deploycheck")
    return 0


def _values(found: Detected, root: Path) -> dict[str, str]:
    """Return what was detected, by setting."""
    from pytest_deploycheck.detection import managers

    table, requests = found.table, found.table.get("requests", {})
    values = {name: str(value) for name, value in table.items() if name != "requests"}
    values |= {f"requests.{name}": value for name, value in requests.items()}
    if manager := managers.find(root):
        return values | {"manager_config": manager}
    return values | ({"command": found.command.line} if found.command else {})


def _asked(detected: Mapping[str, str]) -> dict[str, str]:
    """Ask for each setting; Enter takes what was detected, and a dash leaves the setting out."""
    print("Enter takes what stands in brackets, - leaves it out.\n")
    answers: dict[str, str] = {}
    for setting in SETTINGS:
        default = detected.get(setting.name, "")
        try:
            answer = input(f"{setting.name} ({setting.comment}) [{default or 'none'}]: ").strip() or default
        except EOFError:
            raise CommandError("the questions were ended: nothing was written") from None
        if answer and answer != "-":
            answers[setting.name] = answer
    return answers


def _table(values: Mapping[str, str], found: Detected) -> Iterator[str]:
    """Yield the lines of the table."""
    yield '# pytest --deploycheck proves the deployment. "$NAME" is a value of env_file.'
    yield "[tool.deploycheck]"
    in_requests = False
    for setting in SETTINGS:
        head, _, name = setting.name.rpartition(".")
        if head and not in_requests:
            in_requests = True
            yield from ("", "[tool.deploycheck.requests]")
        finding = found.settings.get(setting.name)
        detected = finding is not None and finding.value == values.get(setting.name)
        where = f" ({finding.where})" if finding and detected else ""
        if setting.name == "command" and found.command and found.command.line == values.get("command"):
            where = f" ({found.command.found.where})"
        yield f"# {setting.comment}{where}"
        if setting.name in values:
            value = values[setting.name]
            is_number = setting.name == "workers" and value.isdecimal()
            yield f"{name} = {value if is_number else _quoted(value)}"
        else:
            yield f"# {name} = {_quoted(setting.example)}"


def _quoted(text: str) -> str:
    """Return a TOML basic string, whose escapes are those of JSON."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _append(file: Path, table: str) -> None:
    """Append the table, if the file is then still TOML; what stands in it stays byte for byte."""
    before = file.read_bytes() if file.is_file() else b""
    end = "\r\n" if b"\r\n" in before else "\n"
    gap = "" if not before else end if before.endswith(b"\n") else end * 2
    added = (gap + table.replace("\n", end) + end).encode()
    try:
        tomllib.loads((before + added).decode("utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise CommandError(f"{FILE} cannot take the table, nothing was written: {error}") from None
    try:
        with file.open("ab") as opened:
            opened.write(added)
    except OSError as error:
        raise CommandError(f"{FILE}: {error.strerror}") from None
