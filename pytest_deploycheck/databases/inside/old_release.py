"""What a release sends that knows the schema of the revision before the newest: SQL made from that schema.

Its statements are tried where they belong first. What works there, and no longer on the new schema, breaks the release.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Iterator
from typing import Any

import sqlalchemy
from sqlalchemy import Column, Connection, MetaData, Table
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

LONGEST_TEXT = 4000
VALUES: dict[type, Any] = {
    bool: True,
    int: 1,
    float: 1.5,
    decimal.Decimal: decimal.Decimal(1),
    bytes: b"x",
    dt.datetime: dt.datetime(2026, 1, 1),  # noqa: DTZ001  (a column may know of no time zone)
    dt.date: dt.date(2026, 1, 1),
    dt.time: dt.time(1),
    dt.timedelta: dt.timedelta(1),
    uuid.UUID: uuid.UUID(int=1),
    dict: {},
    list: [],
}


class OldRelease:
    """Sends statements over a connection, and leaves no trace of them.

    Attributes:
        good: the statements that worked on the release's own schema.
    """

    def __init__(self) -> None:
        self.good: frozenset[str] = frozenset()
        self._tables: list[Table] = []
        self._views: frozenset[str] = frozenset()

    def rehearse(self, connection: Connection, version_table: str) -> None:
        """Read the release's own schema, and find out which statements work on it."""
        schema = MetaData()
        schema.reflect(connection, views=True)
        self._tables = [table for table in schema.sorted_tables if table.name != version_table]
        self._views = frozenset(sqlalchemy.inspect(connection).get_view_names())
        self.good = frozenset(name for name, error in self._send(connection) if error is None)

    def perform(self, connection: Connection) -> list[str]:
        """Send them again, on the new schema; return those that fail now, and why."""
        return [f"{name}: {error}" for name, error in self._send(connection) if error and name in self.good]

    def _send(self, connection: Connection) -> Iterator[tuple[str, str | None]]:
        """Send all statements in a transaction that is rolled back; yield each one, and its error."""
        rows: dict[str, dict[str, Any]] = {}
        with connection.begin_nested() as all_of_it:
            for table in self._tables:
                if table.name not in self._views:
                    for number, only_required in enumerate((False, False, True), start=1):
                        row = row_of(table, number, rows, only_required=only_required)
                        error, key = attempt(connection, table.insert().values(row))
                        yield f"INSERT of {', '.join(row)} into {table.name}, row {number}", error
                        rows.setdefault(table.name, {**row, **key})
                for column in table.columns:
                    yield f"SELECT of {column}", attempt(connection, sqlalchemy.select(column))[0]
            for table in reversed(self._tables):
                if table.name not in self._views:
                    for column in table.columns:
                        change = table.update().values({column.name: column})
                        yield f"UPDATE of {column}", attempt(connection, change)[0]
                    yield f"DELETE in {table.name}", attempt(connection, table.delete())[0]
            all_of_it.rollback()


def attempt(connection: Connection, statement: sqlalchemy.Executable) -> tuple[str | None, dict[str, Any]]:
    """Execute a statement and read what it returns; return what the database had against it, and a new row's key."""
    try:
        with connection.begin_nested():
            result = connection.execute(statement)
            if result.is_insert and result.inserted_primary_key is not None:
                return None, dict(result.inserted_primary_key._mapping)  # noqa: SLF001  (public, in spite of its name)
            if result.returns_rows:
                result.all()
    except DBAPIError as error:
        return str(error.orig).strip().partition("\n")[0], {}
    except (SQLAlchemyError, ValueError, TypeError) as error:
        return f"{type(error).__name__}: {error}".partition("\n")[0], {}
    return None, {}


def row_of(
    table: Table, number: int, parents: dict[str, dict[str, Any]], *, only_required: bool
) -> dict[str, Any]:
    """Make a row that differs from those of other numbers only where the schema wants them to differ."""
    unique = unique_columns(table)
    row: dict[str, Any] = {}
    for column in table.columns:
        chosen_by_the_database = column is table.autoincrement_column or column.computed is not None
        optional = column.nullable or column.server_default is not None
        if chosen_by_the_database or (only_required and optional):
            continue
        key = next(iter(column.foreign_keys), None)
        parent = parents.get(key.column.table.name, {}) if key else {}
        if key and key.column.name in parent:
            row[column.name] = parent[key.column.name]
        else:
            row[column.name] = value_of(column, number if column.name in unique and not key else 1)
    return row


def unique_columns(table: Table) -> set[str]:
    """Return the columns that take part in a key."""
    constraints = (sqlalchemy.PrimaryKeyConstraint, sqlalchemy.UniqueConstraint)
    keys = [item.columns for item in table.constraints if isinstance(item, constraints)]
    keys += [index.columns for index in table.indexes if index.unique]
    return {column.name for columns in keys for column in columns}


def value_of(column: Column[Any], number: int) -> Any:
    """Make a value that fits a column; another one for each number."""
    if isinstance(column.type, sqlalchemy.Enum):
        return column.type.enums[number % len(column.type.enums) - 1]
    try:
        kind = column.type.python_type
    except NotImplementedError:
        kind = str
    if kind is str:
        length = min(getattr(column.type, "length", None) or 40, LONGEST_TEXT)
        return str(number).rjust(length, "x")
    value: Any = VALUES.get(kind)
    if kind is uuid.UUID:
        return uuid.UUID(int=number)
    if kind is bytes:
        return b"%d" % number
    if kind in (dt.datetime, dt.date):
        return value + dt.timedelta(days=number)
    return value * number if kind in (int, float, decimal.Decimal, dt.timedelta) else value
