"""Texts that mean something to each format, put wherever a text of the project may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Texts that mean something: each format, and what reads it, must take these for words.
HOSTILE = (
    "</script></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;"
    "`[click](javascript:alert(1)) | cell |\n::error::boo\n##[error]boo\r::set-output name=a::b\u2028\x00\x1b[31m"
)
# What is chosen from a list, and what is compared by it, is never the project's.
FIXED = frozenset(
    {"id", "concept", "status", "evidence", "verdict", "kind", "created_at", "version", "learn"}
)

# Their keys are names of the project's: files, paths, processes.
NAMED = frozenset({"log", "requests", "slow_s", "left_out", "expected", "lines", "bars", "shares"})


def with_texts(value: Any, change: Callable[[str], str], key: str = "") -> Any:
    """Return a JSON value with changed texts; those that are keys are changed too where they are names of something."""
    if isinstance(value, str):
        return change(value) if value and key not in FIXED else value
    if isinstance(value, list):
        return [with_texts(one, change, key) for one in value]
    if isinstance(value, dict):
        names = {name: change(name) if key in NAMED else name for name in value}
        return {names[name]: with_texts(one, change, name) for name, one in value.items()}
    return value
