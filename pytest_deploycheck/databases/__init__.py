"""Databases: how a run gets one of its own, and how its schema is read. One module each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.databases.none import NoDatabase
from pytest_deploycheck.databases.protocol import Database
from pytest_deploycheck.databases.sqlite import SQLite

if TYPE_CHECKING:
    from pytest_deploycheck.databases.service import Service

POSTGRESQL = ("postgresql", "postgres")


def find(config: Config, service: Service | None = None) -> Database:
    """Return the database that the project's URL names.

    Args:
        config: the project's settings.
        service: the stack's own PostgreSQL; None if the run has to bring one.

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
            from pytest_deploycheck.databases.service import ServicePostgreSQL
        except ImportError as error:
            raise ConfigError(
                "[tool.deploycheck] database_url: for PostgreSQL, "
                f"pip install 'pytest-deploycheck[postgresql]' ({error})"
            ) from None
        return ServicePostgreSQL(config, service) if service else PostgreSQL(config)
    raise ConfigError(
        f"[tool.deploycheck] database_url: {scheme} is not supported, only sqlite and postgresql"
    )
