"""Measurements in words and tables: names as people say them, values with their units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pytest_deploycheck.report.markup import Markup, element
from pytest_deploycheck.report.plot import number

UNITS = {"s": "s", "mb": "MiB", "bytes": "bytes"}
UNIT = re.compile("(?<!_per)_(s|mb|bytes)(?=_|$)")
# Longer lists are left to report.json; most of them are drawn besides.
MOST_ROWS = 12


def measurements(values: Mapping[str, Any]) -> Markup | None:
    """Return a list of all measurements, None where there are none."""
    rows = [
        element("div", element("dt", name), element("dd", _shown(value, unit)))
        for key, value in values.items()
        for name, unit in [_named(key)]
    ]
    return element("dl", *rows, class_="figures") if rows else None


def _named(key: str) -> tuple[str, str]:
    """Split ``gap_s`` into "gap" and its unit."""
    unit = UNIT.search(key)
    name = UNIT.sub("", key, count=1) if unit else key
    return name.replace("_", " "), UNITS[unit[1]] if unit else ""


def _shown(value: Any, unit: str) -> str | Markup:
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return _table(value)
    return in_words(value, unit)


def in_words(value: Any, unit: str = "") -> str:
    """Return a measurement as text."""
    if value is None or value in ([], {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return f"{number(value)} {unit}".strip()
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {in_words(one, unit)}" for key, one in value.items())
    if isinstance(value, list):
        few = ", ".join(in_words(one, unit) for one in value[:MOST_ROWS])
        return few if len(value) <= MOST_ROWS else f"{len(value)} values, see report.json"
    return str(value)


def _table(rows: Sequence[Mapping[str, Any]]) -> str | Markup:
    if len(rows) > MOST_ROWS or any(isinstance(cell, dict | list) for row in rows for cell in row.values()):
        return f"{len(rows)} rows, see report.json"
    columns = [(key, *_named(key)) for key in rows[0]]
    heads = [element("th", f"{name} {unit}".strip(), scope="col") for _, name, unit in columns]
    # A pid is a name, no quantity.
    body = [
        element(
            "tr",
            *(
                element("td", str(row.get(key)) if key == "pid" else in_words(row.get(key)))
                for key, *_ in columns
            ),
        )
        for row in rows
    ]
    return element(
        "table", element("thead", element("tr", *heads)), element("tbody", *body), class_="measured"
    )
