"""Databases: how a run gets one of its own, and how its schema is read. One module each."""

from __future__ import annotations

from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.databases.none import NoDatabase
from pytest_deploycheck.databases.protocol import Database
from pytest_deploycheck.databases.sqlite import SQLite


def find(config: Config) -> Database:
    """Return the database that the project's URL names.

    Raises:
        ConfigError: no module here knows it, or it does not say where the database is.
    """
    url = config.database_url
    if url is None:
        return NoDatabase()
    scheme = url.partition(":")[0]
    if scheme.partition("+")[0] == SQLite.NAME:
        return SQLite(config)
    raise ConfigError(f"[tool.deploycheck] database_url: {scheme} is not supported, only sqlite")
