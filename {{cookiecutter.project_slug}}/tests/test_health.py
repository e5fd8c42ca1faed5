"""Alive and ready."""

{% if cookiecutter.process_manager in ("supervisor", "systemd") -%}
import os

{% endif -%}
from alembic import command
from conftest import Database, alembic_config, away, connected
from fastapi.testclient import TestClient


def test_ready_when_the_database_answers(client: TestClient) -> None:
    """Both are well after a start."""
    assert client.get("/health/live").status_code == 200
    assert client.get("/health/ready").status_code == 200


def test_alive_but_not_ready_without_database(client: TestClient, database: Database) -> None:
    """A database that goes and comes back needs no restart."""
    with away(database):
        assert client.get("/health/live").status_code == 200
        assert client.get("/health/ready").status_code == 503
    assert client.get("/health/ready").status_code == 200


def test_not_ready_before_the_schema_is(client: TestClient, database: Database) -> None:
    """An older schema is told from the one that this release needs."""
    command.downgrade(alembic_config(database), "-1")
    response = client.get("/health/ready")
    assert response.status_code == 503
    assert response.json()["reason"].endswith("run deploy/previous-steps")


def test_ready_on_the_schema_of_a_newer_release(client: TestClient, database: Database) -> None:
    """The running release serves on while a newer one has migrated already."""
    with connected(database) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'of a newer release'")
    assert client.get("/health/ready").status_code == 200
{%- if cookiecutter.process_manager in ("supervisor", "systemd") %}


def test_a_worker_answers_for_no_other_one(client: TestClient) -> None:
    """A release is brought worker by worker, and each new one is asked."""
    assert client.get(f"/health/ready?worker={os.getpid()}").status_code == 200
    assert client.get("/health/ready?worker=1").status_code == 421
{%- endif %}
