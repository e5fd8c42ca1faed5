"""Reports to look at: one recorded from a real run of a broken project, and variations of it.

`recorded/broken.json` is the `report.json` of a generated project with six sabotages (RST003, RST009, TLS003, TLS009,
TLS016, MEM002 with MEM003); paths of the machine are replaced.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hostile import HOSTILE, with_texts

from pytest_deploycheck.report.document import Report

RECORDED = Path(__file__).parent / "recorded"


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
