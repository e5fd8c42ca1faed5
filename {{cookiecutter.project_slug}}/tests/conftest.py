"""An app on a database of its own for each test."""

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

from {{ cookiecutter.project_slug }}.application import create_app
from {{ cookiecutter.project_slug }}.settings import Settings

PROJECT = Path(__file__).parent.parent
TOKEN = "a token that only the tests know"  # noqa: S105


def alembic_config(database: Path) -> Config:
    """Make Alembic work on this database."""
    return Config(PROJECT / "alembic.ini", attributes={"database_url": f"sqlite+aiosqlite:///{database}"})


@contextmanager
def connected(database: Path) -> Iterator[sqlite3.Connection]:
    """Look into a database from outside the app; commit and close at the end."""
    with closing(sqlite3.connect(database)) as connection, connection:
        yield connection


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Migrate a database, once for all tests."""
    database = tmp_path_factory.mktemp("migrated") / "notes.db"
    command.upgrade(alembic_config(database), "head")
    return database


@pytest.fixture
def database(migrated: Path, tmp_path: Path) -> Path:
    """Copy the migrated database."""
    return Path(shutil.copy(migrated, tmp_path))


@pytest.fixture
def settings(database: Path) -> Settings:
    """Give settings that depend on no `.env`."""
    return Settings(
        environment="production",
        domain="testserver",
        path_prefix="",
        http_port=80,
        https_port=443,
{%- if cookiecutter.https_proxy == "traefik" %}
        app_port=8000,
{%- elif cookiecutter.https_proxy == "haproxy" %}
        certbot_port=8402,
{%- endif %}
        api_token=SecretStr(TOKEN),
        database_url=f"sqlite+aiosqlite:///{database}",
        web_concurrency=1,
        memory_limit_mb=100,
        log_level="INFO",
    )


@pytest.fixture
def client(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Iterator[TestClient]:
    """Start the app and give a client that has the token."""
    monkeypatch.chdir(PROJECT)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    app = create_app(settings)
{%- if cookiecutter.https_proxy == "traefik" %}
    proxy = ("127.0.0.1", 50000)  # who asks
    with TestClient(app, "https://testserver", raise_server_exceptions=False, headers=headers, client=proxy) as client:
{%- else %}
    with TestClient(app, "https://testserver", headers=headers, raise_server_exceptions=False) as client:
{%- endif %}
        yield client
