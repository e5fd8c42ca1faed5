"""PostgreSQL that the stack brings itself: a service of the project's own file, reached at its socket."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

import psycopg

from pytest_deploycheck.config import Config
from pytest_deploycheck.databases.postgresql import PostgreSQL
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.run import ProjectCopy

ANSWER_DEADLINE_S = 60.0
# What a server says that has no connection left, or only those for its superuser.
FULL = ("too many clients", "remaining connection slots")
# The image's first server listens nowhere but at the socket, and lives for some seconds.
IS_FINAL = """
    SELECT current_setting('listen_addresses') <> '' OR now() - pg_postmaster_start_time() > interval '10 s'
"""


class Service(Protocol):
    """A service with a database server.

    Attributes:
        socket_folder: where its socket is, on this machine and in all containers of the run.
        password: what the service gets as one.
    """

    socket_folder: Path
    password: str

    def start(self) -> None:
        """Start it alone, if it does not run; return at once."""

    def stop(self) -> None:
        """Stop it, as its manager does; return when it is down."""

    def hold(self) -> Callable[[], None]:
        """Let its next start take as long as nobody calls what is returned."""


class ServiceServer:
    """The server in a service; see ``Server``."""

    def __init__(self, service: Service, url: str) -> None:
        """``url``: the project's own, whose role is taken; a password that it lacks is that of the service."""
        parts = urlsplit(url)
        self._service = service
        self._user = unquote(parts.username or "postgres")
        self._password = unquote(parts.password or "") or service.password

    @property
    def netloc(self) -> str:
        """User and password, and no host."""
        return f"{quote(self._user)}:{quote(self._password, safe='')}@"

    @property
    def query(self) -> str:
        """The folder of the socket."""
        return f"host={quote(str(self._service.socket_folder))}"

    def connect(self, database: str | None = None) -> psycopg.Connection[Any]:
        """Connect; each statement is its own transaction."""
        return psycopg.connect(
            host=str(self._service.socket_folder),
            user=self._user,
            password=self._password,
            dbname=database or "postgres",
            autocommit=True,
            connect_timeout=10,
        )


class ServicePostgreSQL(PostgreSQL):
    """The database of a stack whose files start the server too: nothing is moved, the service itself comes and goes."""

    def __init__(self, config: Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._config_url = config.database_url or ""
        self._most = 0
        self._name = urlsplit(config.database_url or "").path.strip("/")

    def server(self, copy: ProjectCopy) -> ServiceServer:
        """Return the one that the stack has."""
        del copy
        return ServiceServer(self._service, self._config_url)

    def name(self, copy: ProjectCopy) -> str:
        """Return the name that the project itself gives it."""
        del copy
        return self._name

    def relocate(self, copy: ProjectCopy) -> dict[str, str]:
        """Change nothing: each stack has a service of its own."""
        del copy
        return {}

    def environment(self, copy: ProjectCopy) -> dict[str, str]:
        """Name the stack's database by the path of its socket, and start the service if it does not run.

        Raises:
            NotVerified: it does not answer.
        """
        server = self.server(copy)
        self._start(copy)
        return {self.setting: self._url(copy, server)}

    def _start(self, copy: ProjectCopy) -> None:
        self._service.start()
        if not wait_for(lambda: self._answers(copy), bool, deadline_s=ANSWER_DEADLINE_S):
            raise NotVerified(f"the service of the database does not answer within {ANSWER_DEADLINE_S:.0f} s")

    def _answers(self, copy: ProjectCopy) -> bool:
        """Tell whether it can be asked, and stays: the first server of a new container only makes the database."""
        try:
            with self.server(copy).connect(self._name) as connection:
                row = connection.execute(IS_FINAL).fetchone()
        except psycopg.OperationalError:
            return False
        return bool(row and row[0])

    def connections(self, copy: ProjectCopy) -> int:
        """Count them; where nobody gets one any more, not even who counts, they are all that the server takes."""
        try:
            return super().connections(copy)
        except psycopg.OperationalError as error:
            if any(text in str(error) for text in FULL):
                return self._most
            raise

    def max_connections(self, copy: ProjectCopy) -> int:
        """Ask the server, which is that of production."""
        self._most = super().max_connections(copy)
        return self._most

    @contextmanager
    def away(self, copy: ProjectCopy) -> Iterator[None]:
        """Stop the service, and start it again."""
        try:
            self._service.stop()
            yield
        finally:
            self._start(copy)

    def arrives_late(self, copy: ProjectCopy) -> tuple[dict[str, str], Callable[[], None]]:
        """Let the server in the container come up late, whoever starts the service."""
        del copy
        return {}, self._service.hold()
