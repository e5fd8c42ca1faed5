"""Reports to look at: one recorded from a real run of a broken project, and variations of it.

`recorded/broken.json` is the `report.json` of a generated project with six sabotages (RST003, RST009, TLS003, TLS009,
TLS016, MEM002 with MEM003); paths of the machine are replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pytest_deploycheck.report.document import Report

RECORDED = Path(__file__).parent / "recorded"
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


@pytest.fixture
def document() -> dict[str, Any]:
    """The recorded `report.json`."""
    content: dict[str, Any] = json.loads((RECORDED / "broken.json").read_text(encoding="utf-8"))
    return content


@pytest.fixture
def broken(document: dict[str, Any]) -> Report:
    """A run with failures."""
    return Report.from_json(document)


@pytest.fixture
def green(document: dict[str, Any]) -> Report:
    """The same run as if nothing had failed."""
    for check in document["checks"]:
        if check["status"] != "not_applicable":
            check |= {"status": "passed", "evidence": "observed", "detail": "", "seen": "", "state": ""}
    return Report.from_json(document)


@pytest.fixture
def hostile(document: dict[str, Any]) -> Report:
    """A run in which each text that may come from the project is hostile."""
    return Report.from_json(with_texts(document, lambda text: f"{text}{HOSTILE}"))


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
