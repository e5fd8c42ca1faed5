"""PostgreSQL: each copy has a database of its own, on a server of the run; the project's own is never asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any, LiteralString, Protocol
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.sandbox.given_postgresql import GivenServer, database_prefix
from pytest_deploycheck.sandbox.postgresql_server import Cluster, PostgresServer
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.values import set_value

TABLES = """
    SELECT table_name, string_agg(
        concat_ws(' ', column_name, data_type, character_maximum_length, is_nullable, column_default),
        ', ' ORDER BY column_name)
    FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name
"""
CONSTRAINTS = """
    SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
"""
# Those of clients: whoever is no superuser may not end what the server does by itself.
OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND backend_type = 'client backend'
"""
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"


class Server(Protocol):
    """A PostgreSQL server that runs.

    Attributes:
        netloc: user, password, host and port, as they stand in an URL.
        query: what stands behind the ``?`` of the URL.
    """

    @property
    def netloc(self) -> str: ...
    @property
    def query(self) -> str: ...
    def connect(self, database: str | None = None) -> psycopg.Connection[Any]: ...


class PostgreSQL:
    """A database on the run's own server, or on one that the user has given; for each copy another one."""

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
        self._given = GivenServer.find(config)
        self._late: PostgresServer | None = None

    def verify(self) -> None:
        """Look at a server that the user has given to the checks."""
        if self._given:
            self._given.verify()

    def server(self, copy: ProjectCopy) -> Server:
        """Return the server that has the copy's database."""
        if given := self._given:
            return copy.run.shared(GivenServer, lambda: given.of(copy.run))
        return self._late or PostgresServer.of(copy.run)

    def name(self, copy: ProjectCopy) -> str:
        """Return the name of the copy's database."""
        return f"{database_prefix(copy.run)}{copy.root.name}"

    def _url(self, copy: ProjectCopy, server: Server) -> str:
        question = "?" if server.query else ""
        return f"{self.scheme}://{server.netloc}/{self.name(copy)}{question}{server.query}"

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

    def _make(self, copy: ProjectCopy, server: Server, *, allowed: bool = True) -> None:
        with server.connect() as connection:
            name = self.name(copy)
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if found is None:
                statement = sql.SQL(
                    "CREATE DATABASE {} ALLOW_CONNECTIONS {} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'"
                )
                connection.execute(statement.format(sql.Identifier(name), sql.Literal(allowed)))

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
        with self.server(copy).connect() as connection:
            row = connection.execute(query, values).fetchone()
        return int(row[0]) if row else 0

    @contextmanager
    def away(self, copy: ProjectCopy) -> Iterator[None]:
        """Let nobody connect, and end the connections that are there."""
        server, name = self.server(copy), self.name(copy)
        try:
            self._allow(server, name, allowed=False)
            with server.connect() as connection:
                connection.execute(OTHERS, [name])
            yield
        finally:
            self._allow(server, name, allowed=True)

    def _allow(self, server: Server, name: str, *, allowed: bool) -> None:
        statement = sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS {}")
        with server.connect() as connection:
            connection.execute(statement.format(sql.Identifier(name), sql.Literal(allowed)))

    def arrives_late(self, copy: ProjectCopy) -> tuple[dict[str, str], Callable[[], None]]:
        """Lead the copy to a server of its own that is not started yet; on one that was given, nobody is let in yet."""
        if self._given:
            given = self.server(copy)
            self._make(copy, given, allowed=False)
            urls = {self.setting: self._url(copy, given)}
            return urls, lambda: self._allow(given, self.name(copy), allowed=True)
        server = PostgresServer(Cluster.of(copy.run))
        server.make_database(self.name(copy))
        self._late = server
        return {self.setting: self._url(copy, server)}, server.start
