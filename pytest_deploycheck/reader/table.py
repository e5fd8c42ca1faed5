"""Tables of TOML: what they hold is of the right kind, or one line says what it should be."""

from __future__ import annotations

import difflib
import re
from typing import Any

from pytest_deploycheck.config import ConfigError

NAME = "tool.deploycheck"
PATH = re.compile(r"(/(?!/)[^\x00-\x20\x7f]*)?")
LONGEST = 80
KINDS = {str: "string", int: "whole number", list: "list", dict: "table"}


def shown(value: object) -> str:
    """Return a value for a message, shortened."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits than Python writes, or tables that are too deep
        text = f"that {type(value).__name__}"
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def table_in(document: dict[str, Any], key: str, above: str = "") -> dict[str, Any]:
    """Return a table of ``pyproject.toml``; an empty one if there is none."""
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"pyproject.toml: [{above}{key}] must be a table, not {shown(value)}")
    return value


def typed(table: dict[str, Any], key: str, kind: type) -> Any:
    """Return a value of ``[tool.deploycheck]``, None if there is none."""
    value = table.get(key)
    if value is not None and not isinstance(value, kind):
        raise ConfigError(f"[{NAME}] {key} must be a {KINDS[kind]}, not {shown(value)}")
    if isinstance(value, str) and "\0" in value:
        raise ConfigError(f"[{NAME}] {key} holds a NUL byte")
    return value


def list_of(table: dict[str, Any], key: str, kind: type) -> list[Any]:
    """Return a list of ``[tool.deploycheck]``, an empty one if there is none."""
    value = typed(table, key, list) or []
    if not all(type(item) is kind for item in value):  # True is an int, but no port
        raise ConfigError(f"[{NAME}] {key} must be a list of {KINDS[kind]}s, not {shown(value)}")
    return list(value)


def mapping(table: dict[str, Any], key: str, where: str = NAME) -> dict[str, str]:
    """Return a table of strings that is in a table."""
    value = table.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
        raise ConfigError(f"[{where}.{key}] must be a table of strings, not {shown(value)}")
    return value


def path(value: object, where: str) -> str:
    """Return a path of an URL."""
    if not isinstance(value, str) or not value or not PATH.fullmatch(value):
        raise ConfigError(f"{where} must be a path that starts with /, not {shown(value)}")
    return value


def refuse_unknown(table: dict[str, Any], known: tuple[str, ...], where: str = NAME) -> None:
    """Name a key that nobody knows, and the one that may have been meant."""
    for key in table:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f": did you mean {close[0]}?" if close else f". Known: {', '.join(known)}"
            raise ConfigError(f"[{where}] has no setting {shown(key)}{hint}")
