"""PostgreSQL: each copy has a database of its own, on a server of the run; the project's own is never asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.sandbox.env_file import set_value
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.postgresql_server import USER, Cluster, PostgresServer
from pytest_deploycheck.sandbox.run import ProjectCopy

TABLES = """
    SELECT table_name, string_agg(
        concat_ws(' ', column_name, data_type, character_maximum_length, is_nullable, column_default),
        ', ' ORDER BY column_name)
    FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name
"""
CONSTRAINTS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"


class PostgreSQL:
    """A database of the run's own server, for each copy another one."""

    NAME = "postgresql"
    ADVICE: Mapping[str, Advice] = MappingProxyType(
        {
            "BOOT003": Advice(
                "migrations/env.py", None, "connect again for a while, and say in one line for what it waits"
            ),
            "PRE003": Advice(
                "migrations/env.py",
                None,
                "SELECT pg_advisory_lock(…) before Alembic reads the revision, on a connection that stays open",
            ),
            "PRE004": Advice(
                "migrations/env.py", None, "PostgreSQL takes back CREATE TABLE too: one transaction for all"
            ),
            "REP007": Advice(
                ".env", None, "workers x (pool_size + max_overflow) below max_connections less a reserve"
            ),
        }
    )

    def __init__(self, config: Config) -> None:
        self.scheme = (config.database_url or "").partition(":")[0]
        self.setting = config.settings.get("database_url", "")
        if not self.setting:
            raise ConfigError(
                '[tool.deploycheck] database_url must be a setting, such as "$DATABASE_URL": '
                "else a run would reach the database of production"
            )
        if not urlsplit(config.database_url or "").path.strip("/"):
            raise ConfigError("[tool.deploycheck] database_url must name a database")
        self._server: PostgresServer | None = None

    def server(self, copy: ProjectCopy) -> PostgresServer:
        """Return the server that has the copy's database."""
        return self._server or PostgresServer.of(copy.run)

    def name(self, copy: ProjectCopy) -> str:
        """Return the name of the copy's database."""
        return f"deploycheck_{copy.root.name}"

    def _url(self, copy: ProjectCopy, server: PostgresServer) -> str:
        return f"{self.scheme}://{USER}:{server.password}@{LOOPBACK}:{server.port}/{self.name(copy)}"

    def relocate(self, copy: ProjectCopy) -> dict[str, str]:
        """Make a database for the copy, and name it in the copy's environment file too: nobody asks the real one."""
        environment = self.environment(copy)
        for name, value in environment.items():
            set_value(copy, name, value)
        return environment

    def environment(self, copy: ProjectCopy) -> dict[str, str]:
        """Name the copy's database, and make it if it is not there."""
        server = self.server(copy)
        self._make(copy, server)
        return {self.setting: self._url(copy, server)}

    def _make(self, copy: ProjectCopy, server: PostgresServer) -> None:
        with server.connect("postgres") as connection:
            name = self.name(copy)
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if found is None:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    def version(self, copy: ProjectCopy) -> str | None:
        """Return the revision in ``alembic_version``."""
        try:
            with self.server(copy).connect(self.name(copy)) as connection:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except (psycopg.OperationalError, psycopg.errors.UndefinedTable):
            return None
        return str(row[0]) if row else None

    def set_version(self, copy: ProjectCopy, version: str | None) -> None:
        """Overwrite the revision in ``alembic_version``, None = no row."""
        with self.server(copy).connect(self.name(copy)) as connection, connection.transaction():
            connection.execute("DELETE FROM alembic_version")
            if version is not None:
                connection.execute("INSERT INTO alembic_version (version_num) VALUES (%s)", [version])

    def schema(self, copy: ProjectCopy) -> dict[str, str]:
        """Return the definition of each table, constraint and index."""
        with self.server(copy).connect(self.name(copy)) as connection:
            return {
                str(name): str(definition)
                for query in (INDEXES, CONSTRAINTS, TABLES)
                for name, definition in connection.execute(query)
            }

    def connections(self, copy: ProjectCopy) -> int:
        """Count them in ``pg_stat_activity``."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        return self._number(copy, query, [self.name(copy)])

    def max_connections(self, copy: ProjectCopy) -> int:
        """Ask the server of the run, which has PostgreSQL's own limit."""
        return self._number(copy, "SELECT current_setting('max_connections')")

    def _number(self, copy: ProjectCopy, query: LiteralString, values: Sequence[str] = ()) -> int:
        with self.server(copy).connect("postgres") as connection:
            row = connection.execute(query, values).fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def away(self, copy: ProjectCopy) -> Iterator[None]:
        """Let nobody connect, and end the connections that are there."""
        server, name = self.server(copy), self.name(copy)
        with server.connect("postgres") as connection:
            try:
                self._allow(connection, name, allowed=False)
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name]
                )
                yield
            finally:
                self._allow(connection, name, allowed=True)

    def _allow(self, connection: psycopg.Connection[tuple[object, ...]], name: str, *, allowed: bool) -> None:
        statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        connection.execute(statement.format(sql.Identifier(name), sql.Literal(allowed)))

    def arrives_late(self, copy: ProjectCopy) -> tuple[dict[str, str], Callable[[], None]]:
        """Lead the copy to a server of its own that is not started yet."""
        server = PostgresServer(Cluster.of(copy.run))
        server.make_database(self.name(copy))
        self._server = server
        return {self.setting: self._url(copy, server)}, server.start
