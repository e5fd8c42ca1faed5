"""The published JSON Schema says what `report.json` holds."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import jsonschema
import pytest

from pytest_deploycheck.check import all_checks
from pytest_deploycheck.outcome import Result, Status
from pytest_deploycheck.report.document import Report
from pytest_deploycheck.report.json_report import SCHEMA_FILE

SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def closed(schema: Any) -> Any:
    """Return the schema, with no field allowed that it does not name."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    more = (
        {"additionalProperties": False} if "properties" in schema and schema.get("type") == "object" else {}
    )
    return {**more, **{key: closed(value) for key, value in schema.items()}}


def errors(document: dict[str, Any], schema: Any) -> Iterator[str]:
    """Yield what is wrong with a report."""
    for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
        yield f"{'.'.join(map(str, error.path))}: {error.message[:200]}"


def test_schema_is_one() -> None:
    """It is a valid JSON Schema, with the address under which the documentation has it."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$id"].endswith("/report.schema.json")


def test_recorded_report_is_valid(document: dict[str, Any]) -> None:
    """It holds what the schema names, all of it and nothing else."""
    assert list(errors(document, closed(SCHEMA))) == []
    assert {chart["kind"] for check in document["checks"] for chart in check["charts"]} == {
        "requests",
        "lines",
        "bars",
        "shares",
    }


def test_every_field_is_in_the_schema() -> None:
    """Each field of a result and of a report is explained, each status is listed, each ID fits."""
    check = SCHEMA["$defs"]["check"]["properties"]
    assert check.keys() == {field.name for field in fields(Result)}
    assert SCHEMA["properties"].keys() == {field.name for field in fields(Report)} | {"schema", "concepts"}
    assert check["status"]["enum"] == list(Status)
    for record in all_checks():
        jsonschema.validate(record.id, SCHEMA["$defs"]["id"])


def test_later_fields_are_allowed(document: dict[str, Any]) -> None:
    """A reader with this schema takes reports of later versions."""
    document["later"] = document["checks"][0]["later"] = 1
    assert list(errors(document, SCHEMA)) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), 2),
        (("checks", 0, "status"), "green"),
        (("checks", 0, "id"), "rst002"),
        (("checks", 0, "duration_s"), "1"),
        (("concepts", 0, "verdict"), "passed"),
        (("relocated",), None),
    ],
)
def test_wrong_reports_are_refused(document: dict[str, Any], path: tuple[Any, ...], value: object) -> None:
    """The schema is not so wide that all fits."""
    wrong = copy.deepcopy(document)
    *way, last = path
    target: Any = wrong
    for step in way:
        target = target[step]
    target[last] = value
    assert list(errors(wrong, SCHEMA)) != []
