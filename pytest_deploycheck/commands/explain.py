"""``deploycheck explain``: what was detected, from which file and line, what will be run, and what is missing."""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pytest_deploycheck.config import Config
    from pytest_deploycheck.detection import Detected
    from pytest_deploycheck.need import Need

DESCRIPTION = """\
Read the files of the project in this folder, and say what `pytest --deploycheck` would make of them. Nothing is run and
nothing is written.
"""
EPILOG = """\
What is detected wrongly is stated in [tool.deploycheck] of pyproject.toml, which always wins; `deploycheck init` writes
that table.

exit status: 0 there is something to run, 2 there is nothing, or a setting is wrong
"""
WIDTH, LABEL = 110, 16


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = commands.add_parser(
        "explain",
        help="what was detected in this project, from which line, and what will be run",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(_: argparse.Namespace) -> int:
    """Print it."""
    from pytest_deploycheck.detection import detect
    from pytest_deploycheck.masking import masked
    from pytest_deploycheck.reader import load, table_of

    root = Path.cwd()
    table = table_of(root)
    stated = table.get("command") or table.get("start")
    found = detect(root, command=stated if isinstance(stated, str) else None)
    print("\n".join(_detected(found, table)))
    config = load(root)
    print(masked("\n".join(["", *_run(config), "", *_missing(config)]), config))
    return 0


def _detected(found: Detected, table: Mapping[str, Any]) -> Iterator[str]:
    yield "detected"
    rows = [("app", f"{app.framework} {app.target}", app.found.where) for app in found.apps]
    for command in found.commands:
        is_usual = command.found.file.endswith(".py")
        where = "no file says how: what everybody types" if is_usual else command.found.where
        rows.append(("command", command.line, where))
    rows += [("proxy", proxy.value, proxy.where) for proxy in found.proxies]
    if found.migrations:
        rows.append(("migrations", found.migrations.value, found.migrations.where))
    rows += [(key, one.value, one.where) for key, one in found.settings.items() if key != "app"]
    seen: set[str] = set()
    for kind, value, where in rows:
        note = ""
        if kind in ("app", "command") and kind in seen:
            note = ", not taken"
        elif kind in table:
            note = ", but [tool.deploycheck] states another" if table[kind] != value else ", stated too"
        seen.add(kind)
        shown = textwrap.shorten(re.sub(r"://[^/@]*@", "://…@", value), 70)  # no password of a URL
        yield f"  {kind:<{LABEL}} {shown}  ({where}{note})"
    if not rows:
        yield "  nothing: no ASGI app, no server command, no proxy"


def _run(config: Config) -> Iterator[str]:
    from pytest_deploycheck.need import Need

    yield "what will be run, in a copy of the project, on loopback addresses"
    command, requests = config.command, config.requests
    if command is None:
        manager = config.start or "the process manager"
        yield f"  {manager}, as {config.manager_config} says: app and proxy under their manager"
        return
    folder = "the project's folder" if command.folder == "." else command.folder
    exists = (config.root / config.env_file).is_file()
    values = f"the values of {config.env_file}" + ("" if exists else " (which does not exist)")
    yield f"  {command.before + ' && ' if command.before else ''}{command.line}"
    yield f"  from {command.found.where}, in {folder}; no variables but {values}, and PATH"
    if config.manager_config:
        yield f"  under its manager: {command.runner}"
    elif command.runner:
        yield f"  not run: {command.runner}"
    else:
        yield "  no file names a process manager: that nobody starts it again is what the checks will see"
    ready = "" if Need.READINESS in config.lacks else f", {requests.ready} (ready)"
    yield f"  asked: {requests.read} (ordinary), {requests.live} (alive){ready}, as {config.domain}"
    database = (
        f"${config.settings['database_url']}" if "database_url" in config.settings else config.database_url
    )
    yield f"  {config.workers} worker{'s' if config.workers > 1 else ''} expected; database: {database or 'none'}"


def _missing(config: Config) -> Iterator[str]:
    if not config.lacks:
        yield "nothing is missing"
        return
    yield "what is missing, and so not verified"
    for said in dict.fromkeys(config.lacks.values()):
        ids = ", ".join(_ids({need for need, text in config.lacks.items() if text == said}))
        yield from textwrap.wrap(f"{ids}: {said}", WIDTH, initial_indent="  ", subsequent_indent="    ")


def _ids(needs: Collection[Need]) -> Iterator[str]:
    from pytest_deploycheck.check import all_checks

    yield from (record.id for record in all_checks() if not record.needs.isdisjoint(needs))
