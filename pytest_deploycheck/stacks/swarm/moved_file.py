"""The project's stack file, with what only production has moved: swarms read one file, Compose merges two."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_deploycheck.stacks.compose.services import mount_of


def moved_file(
    document: Mapping[str, Any], second: Mapping[str, Any], *, folder: Path, release: str
) -> dict[str, Any]:
    """Return the file.

    Args:
        document: what the project's own file says.
        second: what Compose would merge into it.
        folder: where relative paths in it begin.
        release: makes each deployment of what the project has built another one than that before.
    """
    moved = copy.deepcopy(dict(document))
    for name, change in second["services"].items():
        _merge(moved["services"][name], _literal(change), folder)
        if "image" in change:
            moved["services"][name]["environment"]["DEPLOYCHECK_RELEASE"] = release
    for kind in ("secrets", "configs"):
        for one in (moved.get(kind) or {}).values():
            if "file" in one:
                one["file"] = str((folder / one["file"]).resolve())
    return moved


def only(name: str, document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file with one service, and with the secrets and configs of that one: no others are made.

    Their own names are left out, for those can have parts that only the project's commands know.
    """
    service = document["services"][name]
    alone = {**document, "services": {name: service}}
    for kind in ("secrets", "configs"):
        used = {one if isinstance(one, str) else one["source"] for one in service.get(kind) or ()}
        found = {key: value for key, value in (document.get(kind) or {}).items() if key in used}
        alone[kind] = {
            key: value if value.get("external") else {"file": value["file"]} for key, value in found.items()
        }
    return alone


def _merge(service: dict[str, Any], change: Mapping[str, Any], folder: Path) -> None:
    """Change a service of the file."""
    targets = {mount_of(mount)[1] for mount in change["volumes"]}
    kept = [mount for mount in service.get("volumes") or () if mount_of(mount)[1] not in targets]
    environment = service.get("environment") or {}
    if not isinstance(environment, Mapping):
        environment = dict(line.partition("=")[::2] for line in environment)
    service |= {
        **change,
        "volumes": [*kept, *change["volumes"]],
        "environment": {**environment, **change["environment"]},
    }
    # All belongs to the user who runs the checks.
    for secret in (*(service.get("secrets") or ()), *(service.get("configs") or ())):
        if isinstance(secret, dict):
            secret.pop("uid", None)
            secret.pop("gid", None)
    if files := service.get("env_file"):
        names = [files] if isinstance(files, str) else files
        service["env_file"] = [str((folder / name).resolve()) for name in names]


def _literal(value: Any) -> Any:
    """Return a value in which ``docker stack deploy`` puts no variables."""
    if isinstance(value, Mapping):
        return {key: _literal(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_literal(item) for item in value]
    return value.replace("$", "$$") if isinstance(value, str) else value
