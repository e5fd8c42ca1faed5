"""Secrets stay where they are: what is shown to somebody names them, and never holds their values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import SplitResult, quote, quote_plus, unquote, urlsplit

from pytest_deploycheck.config import Config

# Shorter ones would be found in ordinary words; so would shorter parts of long ones, and passwords.
SHORTEST = 4
SHORTEST_PART = 8


def masked(text: str, config: Config) -> str:
    """Replace the values of secrets, also as they stand in URLs, in JSON and in Python's own notation."""
    return _mask(config)(text)


def all_masked(value: Any, config: Config) -> Any:
    """Return a JSON value in which all texts are masked, also those that are keys."""
    mask = _mask(config)

    def all_in(value: Any) -> Any:
        if isinstance(value, str):
            return mask(value)
        if isinstance(value, list | tuple):
            return [all_in(one) for one in value]
        if isinstance(value, dict):
            return {mask(key): all_in(one) for key, one in value.items()}
        return value

    return all_in(value)


def _mask(config: Config) -> Callable[[str], str]:
    """Return what masks a text."""
    spellings = {spelling: name for name, value in _secrets(config) for spelling in _spellings(value)}
    if not spellings:
        return str
    longest_first = sorted(spellings, key=len, reverse=True)
    pattern = re.compile("|".join(map(re.escape, longest_first)))
    return partial(pattern.sub, lambda found: _name(found[0], spellings[found[0]]))


def _name(text: str, name: str) -> str:
    """Return what stands in the place of a secret; a password in a URL keeps its ``:`` and ``@``."""
    return f":<{name}>@" if name == "PASSWORD" and text[:1] + text[-1:] == ":@" else f"<{name}>"


def _secrets(config: Config) -> Iterator[tuple[str, str]]:
    """Yield the names of secrets, each with a text that must not be seen."""
    for name in (*config.secrets, *config.hidden):
        value = config.value_of(name) or ""
        if len(value) >= SHORTEST:
            yield from ((name, text) for text in (value, *_parts(value)))
    url = _parsed(config.database_url or "")
    for password in {url.password or "", unquote(url.password or "")} - {""}:
        yield "PASSWORD", f":{password}@"
        if len(password) >= SHORTEST_PART and password not in (url.username, url.path.strip("/")):
            yield "PASSWORD", password


def _parsed(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return urlsplit("")


def _parts(value: str) -> Iterator[str]:
    """Yield what a log shows of a long secret: its lines, and the beginning of one that is cut at a space."""
    words = value.split()
    beginnings = (" ".join(words[:count]) for count in range(2, len(words) + 1))
    yield from (part for part in (*value.splitlines(), *words, *beginnings) if len(part) >= SHORTEST_PART)


def _spellings(value: str) -> set[str]:
    in_json = {json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    return {value, quote(value), quote(value, safe=""), quote_plus(value), repr(value)[1:-1], *in_json}
