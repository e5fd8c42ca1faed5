"""Configuration files in YAML or TOML, whose keys may be written in small or capital letters."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from pytest_deploycheck.stacks.protocol import StackError

SUFFIXES = (".toml", ".yaml", ".yml")
Table = dict[str, Any]


def parse(text: str, name: str) -> Table:
    """Parse the text of a file.

    Raises:
        StackError: it is wrong; the message names the file and, where known, the line.
    """
    try:
        document = tomllib.loads(text) if name.endswith(".toml") else YAML(typ="safe", pure=True).load(text)
        # Dates and other values that JSON does not have are text to Go's parsers too.
        document = json.loads(json.dumps(document, default=str))
    except tomllib.TOMLDecodeError as error:
        line = re.search(r"at line (\d+)", str(error))
        raise StackError(f"{name}:{line[1] if line else 1}: {error}") from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise StackError(f"{name}:{mark.line + 1 if mark else 1}: {error.problem or error.context}") from None
    except (YAMLError, ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise StackError(f"{name}: cannot be parsed: {' '.join(str(error).split())}") from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise StackError(f"{name}: must hold settings, not {document!r:.80}")
    return document


def text_of(file: Path, name: str) -> str:
    """Read a file.

    Raises:
        StackError: it cannot be read, or is no text.
    """
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        raise StackError(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise StackError(f"{name}: is no text: {error}") from None


def write(document: Table, file: Path) -> None:
    """Write it as JSON, which is YAML too."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")


def get(above: object, *keys: str) -> Any:
    """Return what is at the end of a path of keys; None if there is nothing."""
    for key in keys:
        if not isinstance(above, dict):
            return None
        above = above.get(_spelling(above, key))
    return above


def put(above: Table, key: str, value: object) -> None:
    """Set a value, under the key as it is written there."""
    above[_spelling(above, key)] = value


def drop(above: object, key: str) -> None:
    """Remove a key, if it is there."""
    if isinstance(above, dict):
        above.pop(_spelling(above, key), None)


def inner(above: Table, *keys: str) -> Table:
    """Return the table at the end of a path of keys, made if missing.

    Raises:
        StackError: something else is there.
    """
    for key in keys:
        value = get(above, key)
        if value is None:
            put(above, key, value := {})
        if not isinstance(value, dict):
            raise StackError(f"Traefik's configuration: {key} must hold settings, not {value!r:.80}")
        above = value
    return above


def tables(value: object) -> Iterator[Table]:
    """Yield the tables in a list, or those that have names in a table."""
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    yield from (item for item in values if isinstance(item, dict))


def words(value: object) -> list[str]:
    """Return the items of a list, which may be written as one text with commas."""
    return [str(item).strip() for item in (value if isinstance(value, list) else str(value or "").split(","))]


def _spelling(above: Table, key: str) -> str:
    return next((found for found in above if found.casefold() == key.casefold()), key)
