"""The contract: what each platform asks of a container and gives it, as the project has written it down."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from pytest_deploycheck.stacks.protocol import StackError

NAME = "contract.toml"
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What stands under ``[container]`` and ``[platforms]``; ``docs/cloud.md`` explains it.

    Attributes:
        port_variable: holds the port at which the app listens.
        networks_variable: says from which networks the app believes X-Forwarded-*; empty where none does.
        processes: server processes in each container.
        start_s: from the start until it listens, in seconds.
        stop_grace_s: from SIGTERM to SIGKILL, in seconds.
        read_only: whether nothing but TMPDIR can be written.
        previous_steps: what the platform runs before a release serves; empty for nothing.
        min_containers, max_containers: how many there are.
        platforms: the file of each platform, relative to the project.
    """

    port_variable: str = "PORT"
    networks_variable: str = ""
    processes: int = 1
    start_s: int = 60
    stop_grace_s: int = 10
    read_only: bool = True
    previous_steps: str = ""
    min_containers: int = 1
    max_containers: int = 1
    platforms: Mapping[str, str]


def is_contract(file: str) -> bool:
    """Tell whether a project on a platform for containers is described by this file."""
    return Path(file).name == NAME


def read_contract(file: Path, name: str) -> Contract:
    """Read a contract.

    Raises:
        StackError: it cannot be read, or a key is wrong; the message names file and key.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StackError(f"{name}: {error}") from None
    platforms = document.get("platforms", {})
    container = document.get("container", {})
    if unknown := sorted(set(document) - {"container", "platforms"}):
        raise StackError(f"{name}: unknown key {unknown[0]}: there are [container] and [platforms]")
    if not isinstance(container, dict) or not isinstance(platforms, dict):
        raise StackError(f"{name}: [container] and [platforms] must be tables")
    if not all(isinstance(value, str) for value in platforms.values()):
        raise StackError(f"{name}: [platforms] must name a file for each platform")
    return Contract(**_checked(container, name), platforms=platforms)


def _checked(table: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the values of ``[container]``.

    Raises:
        StackError: a key is not known, or its value has another type.
    """
    kinds = {field.name: type(field.default) for field in fields(Contract) if field.name != "platforms"}
    for key, value in table.items():
        if key == "previous_steps" and not _is_command(value):
            raise StackError(f"{name}: [container] {key} must be a command, not {value!r:.40}")
        if key.endswith("_variable") and not VARIABLE.fullmatch(str(value)):
            raise StackError(f"{name}: [container] {key} must name a variable, not {value!r:.40}")
        if key not in kinds:
            raise StackError(f"{name}: [container] {key} is no key: there are {', '.join(kinds)}")
        if type(value) is not kinds[key] or (isinstance(value, int) and value < 0):
            raise StackError(f"{name}: [container] {key} must be a {kinds[key].__name__}, not {value!r:.40}")
    return table


def _is_command(value: object) -> bool:
    """Tell whether a value is words, or nothing."""
    try:
        return isinstance(value, str) and "\0" not in value and bool(shlex.split(value) or not value)
    except ValueError:
        return False
