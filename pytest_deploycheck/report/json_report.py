"""``report.json``: a public interface, with a JSON Schema beside this module."""

from __future__ import annotations

import json
from pathlib import Path

from pytest_deploycheck.report.document import Report

SCHEMA_FILE = Path(__file__).with_name("report.schema.json")


def json_report(report: Report) -> str:
    """Return the text of ``report.json``."""
    return json.dumps(report.to_json(), indent=1, default=str) + "\n"
