"""Databases: how a run gets one of its own, and how its schema is read. One module each."""

from __future__ import annotations

from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.databases.none import NoDatabase
from pytest_deploycheck.databases.protocol import Database
from pytest_deploycheck.databases.sqlite import SQLite

POSTGRESQL = ("postgresql", "postgres")


def find(config: Config) -> Database:
    """Return the database that the project's URL names.

    Raises:
        ConfigError: no module here knows it, or it does not say where the database is.
    """
    url = config.database_url
    if url is None:
        return NoDatabase()
    scheme = url.partition(":")[0]
    dialect = scheme.partition("+")[0]
    if dialect == SQLite.NAME:
        return SQLite(config)
    if dialect in POSTGRESQL:
        try:
            from pytest_deploycheck.databases.postgresql import PostgreSQL
        except ImportError as error:
            raise ConfigError(
                "[tool.deploycheck] database_url: for PostgreSQL, "
                f"pip install 'pytest-deploycheck[postgresql]' ({error})"
            ) from None
        return PostgreSQL(config)
    raise ConfigError(
        f"[tool.deploycheck] database_url: {scheme} is not supported, only sqlite and postgresql"
    )
