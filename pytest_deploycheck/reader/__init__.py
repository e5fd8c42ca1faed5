"""Reads ``[tool.deploycheck]``; values may be taken from the project's environment file and secrets."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.detection import ANY_HOST, detect, managers
from pytest_deploycheck.detection.finding import Finding
from pytest_deploycheck.detection.lacks import lacks
from pytest_deploycheck.detection.routes import with_defaults
from pytest_deploycheck.detection.surroundings import SECRET
from pytest_deploycheck.reader.settings import SettingsReader
from pytest_deploycheck.reader.table import shown, table_in


def load(root: Path) -> Config:
    """Read the settings of the project in ``root``.

    Raises:
        ConfigError: nothing deployable is there, or a setting is wrong.
    """
    table = table_of(root)
    project = table_in(_document(root), "project").get("name", root.name)
    if not isinstance(project, str):
        raise ConfigError(f"pyproject.toml: [project] name must be a string, not {shown(project)}")
    manager_config = table.get("manager_config") or _usual_manager(table, root)
    if manager_config:
        return SettingsReader({"manager_config": manager_config, **table}, root).config(project)
    return _read_command_alone(table, root, project)


def _usual_manager(table: dict[str, Any], root: Path) -> str | None:
    """Return the description of a manager that is taken though none is stated."""
    if "command" in table:
        return None
    return managers.first_of(root) if table else managers.find(root)


def table_of(root: Path) -> dict[str, Any]:
    """Return ``[tool.deploycheck]`` as it is written; empty if there is none.

    Raises:
        ConfigError: ``pyproject.toml`` cannot be parsed, or it is no table.
    """
    return table_in(table_in(_document(root), "tool"), "deploycheck", "tool.")


def _document(root: Path) -> dict[str, Any]:
    file = root / "pyproject.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (ValueError, OSError, RecursionError) as error:
        raise ConfigError(f"pyproject.toml: {error}") from None


def _read_command_alone(table: dict[str, Any], root: Path, project: str) -> Config:
    """Read the settings of a project of which no manager runs app and proxy: what the table does not say is detected.

    Raises:
        ConfigError: there is no server to run, or a setting is wrong.
    """
    stated = table.get("command") or table.get("start")
    found = detect(root, command=stated if isinstance(stated, str) else None)
    command = found.command
    if command is None and (only := managers.first_of(root)):
        return SettingsReader({"manager_config": only, **table}, root).config(project)
    if command is None:
        app = f" for {found.app.target}" if found.app else ", and no ASGI app"
        raise ConfigError(
            f"nothing to check in {root}: no server command was found{app}. State them in [tool.deploycheck] of "
            'pyproject.toml, for example app = "package.main:app", command = "uvicorn package.main:app"; '
            f"or name as manager_config what {', '.join(managers.CONFIGS)} would be. See `deploycheck explain`"
        )
    requests, stated_requests = found.table.get("requests", {}), table.get("requests", {})
    if isinstance(stated_requests, dict):
        requests |= stated_requests
        table = {**table, "requests": with_defaults(requests)}
    environment = {**found.defaults, **command.environment}
    known = {"domain": ANY_HOST, **found.table, **table}
    if managers.is_supervisors(command.found.file):
        known["manager_config"] = command.found.file
    reader = SettingsReader(known, root, environment=environment)
    config = reader.config(project)
    if "database_url" not in table:
        _refuse_fixed_database(found.settings.get("database_url"), config.database_url or "")
    return replace(
        config,
        command=command,
        lacks=lacks(found, command, requests, table),
        hidden=tuple(name for name in reader.values.env if SECRET.fullmatch(name)),
    )


def _refuse_fixed_database(found: Finding | None, url: str) -> None:
    """Refuse to start an app whose database cannot be exchanged for one of the run: it would reach the real one.

    Raises:
        ConfigError: it names the line.
    """
    if found is None:
        return
    kind = url.partition(":")[0].partition("+")[0]
    if kind not in ("sqlite", "postgresql", "postgres"):
        raise ConfigError(
            f"{found.where}: the checks have no {kind} to give the app, and it must not reach this one, so nothing was "
            "started. Name an environment file without it as [tool.deploycheck] env_file"
        )
    if not found.value.startswith("$") and (kind != "sqlite" or url.partition(":///")[2].startswith("/")):
        raise ConfigError(
            f"{found.where}: the database's URL stands in the code, so the app cannot be given one of the run, and "
            "nothing was started. Read it from a variable, such as DATABASE_URL"
        )
