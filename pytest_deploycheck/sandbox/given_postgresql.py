"""A PostgreSQL server that the user gives to the checks: only databases that a run has made there are touched.

``DEPLOYCHECK_DATABASE_SERVER`` names it, or ``[tool.deploycheck] database_server``. What looks like the server of
production is refused, unless ``disposable_database_servers`` lists it.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import sys
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.sandbox import drop_databases
from pytest_deploycheck.sandbox.run import Run

VARIABLE = "DEPLOYCHECK_DATABASE_SERVER"
EXAMPLE = "postgresql://user:password@127.0.0.1:5433"
ALLOW = "[tool.deploycheck] disposable_database_servers"
USUAL_PORT = 5432
# They lead libpq to another place than the URL's host.
ELSEWHERE = re.compile(r"\b(hostaddr|service)=")
# The first that can drop a database although somebody is connected to it.
OLDEST_VERSION = 13
TIMEOUT_S = 10


@dataclass(frozen=True, kw_only=True)
class GivenServer:
    """A server that was there before the run, and will be afterwards.

    Attributes:
        setting: what names it, for messages.
        url: how it is reached; its path names the database that is connected to first, ``postgres`` by default.
        place: its host and port.
        own_database: the name of the project's own database, which must not be on it; None if it may be.
        application: how our own connections are called there; "" before there is a run.
    """

    setting: str
    url: str
    place: str
    own_database: str | None
    application: str = ""

    @classmethod
    def find(cls, config: Config) -> GivenServer | None:
        """Return the server that the environment, or else the settings, name.

        Raises:
            ConfigError: it is no URL, or looks like the server of production.
        """
        in_environment = os.environ.get(VARIABLE)
        url, setting = in_environment or config.database_server, "[tool.deploycheck] database_server"
        if not url:
            return None
        setting = VARIABLE if in_environment else setting
        url = re.sub(r"^(postgres(?:ql)?)\+\w+:", r"\1:", url)
        try:
            values = conninfo_to_dict(url) if "://" in url and not ELSEWHERE.search(url) else {}
            hosts, port = str(values["host"]).split(","), int(values.get("port") or USUAL_PORT)
        except (KeyError, ValueError, psycopg.Error):
            raise ConfigError(f"{setting} must be a server such as {EXAMPLE}") from None
        place = f"{','.join(hosts)}:{port}"
        allowed = bool({place, ",".join(hosts)} & set(config.disposable_database_servers))
        own, own_port, own_database = _own(config)
        if not allowed:
            refused = f'if it is no server of production, write {ALLOW} = ["{place}"]'
            if not all(map(is_here, hosts)):
                raise ConfigError(f"{setting}: {place} is not on this machine; {refused}")
            if is_here(own) and port == own_port:
                raise ConfigError(
                    f"{setting}: {place} is the server of the project's database_url; {refused}"
                )
        return cls(setting=setting, url=url, place=place, own_database=None if allowed else own_database)

    def verify(self) -> None:
        """Make sure that it can be used.

        Raises:
            ConfigError: it does not answer, makes no databases, or looks like the server of production.
        """
        try:
            with self.connect() as connection:
                version = connection.info.server_version // 10_000
                row = connection.execute(
                    "SELECT current_user, rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
                ).fetchone()
                named = connection.execute(
                    "SELECT count(*) FROM pg_database WHERE datname = %s", [self.own_database]
                ).fetchone()
        except psycopg.Error as error:
            raise ConfigError(f"{self.setting}: {self.place} cannot be used: {error}") from None
        if version < OLDEST_VERSION:
            raise ConfigError(
                f"{self.setting}: {self.place} is PostgreSQL {version}, {OLDEST_VERSION} or newer is needed"
            )
        if row and not row[1]:
            raise ConfigError(
                f"{self.setting}: {row[0]} may make no databases on {self.place}: ALTER ROLE {row[0]} CREATEDB"
            )
        if named and named[0]:
            raise ConfigError(
                f"{self.setting}: {self.place} has a database {self.own_database}, as the project's own is called; "
                f'if it is no server of production, write {ALLOW} = ["{self.place}"]'
            )

    def of(self, run: Run) -> GivenServer:
        """Return it for the databases of a run, which are dropped when that ends, whatever ends it."""
        prefix = database_prefix(run)
        order = run.folder / "databases.json"
        order.touch(mode=0o600)
        wanted = {"conninfo": self._conninfo(), "place": self.place, "prefix": prefix}
        order.write_text(json.dumps(wanted), encoding="utf-8")
        run.at_the_end(sys.executable, "-P", drop_databases.__file__, str(order))
        return replace(self, application=prefix)

    @property
    def netloc(self) -> str:
        """User, password, host and port, as they stand in an URL."""
        return urlsplit(self.url).netloc

    @property
    def query(self) -> str:
        """What stands behind the ``?`` of the URL, such as ``sslmode``."""
        return urlsplit(self.url).query

    def connect(self, database: str | None = None) -> psycopg.Connection[Any]:
        """Connect; each statement is its own transaction."""
        named = {"dbname": database} if database else {}
        conninfo = self._conninfo(application_name=self.application, **named)
        return psycopg.connect(conninfo, autocommit=True)

    def _conninfo(self, **values: str) -> str:
        first = urlsplit(self.url).path.strip("/") or "postgres"
        return make_conninfo(self.url, **{"dbname": first, "connect_timeout": str(TIMEOUT_S), **values})


def database_prefix(run: Run) -> str:
    """Return how the names of all databases of a run begin, and no others."""
    return f"deploycheck_{run.tag.rpartition('=')[2][:16]}_"


def is_here(host: str) -> bool:
    """Tell whether a host is this machine: a loopback address, or the folder of a unix socket."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in ("", "localhost") or host.startswith("/")


def _own(config: Config) -> tuple[str, int, str]:
    """Return host, port and name of the project's own database."""
    parts = urlsplit(config.database_url or "")
    try:
        port = parts.port or USUAL_PORT
    except ValueError:
        port = USUAL_PORT
    return parts.hostname or "", port, parts.path.strip("/")
