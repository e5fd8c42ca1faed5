"""What is done once for a deployment."""

{% if cookiecutter.process_manager in ("kubernetes", "cloud") -%}
import os
import subprocess
import sys
{% endif -%}
from concurrent.futures import ThreadPoolExecutor
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") %}
from pathlib import Path
{%- endif %}

{% if cookiecutter.database == "postgresql" -%}
import pytest
{% endif -%}
from conftest import {% if cookiecutter.process_manager in ("kubernetes", "cloud") %}PROJECT, {% endif %}Database, connected

from {{ cookiecutter.project_slug }}.maintenance import maintain{% if cookiecutter.database == "postgresql" %}, make_sure_of_connections{% endif %}, seed
from {{ cookiecutter.project_slug }}.settings import Settings

STARTERS = 4


def test_can_be_done_again(settings: Settings) -> None:
    """A start that is repeated does it once more, which does no harm."""
    for _ in range(2):
        maintain(settings.database_url)


def test_seed_is_there_once(settings: Settings, database: Database) -> None:
    """Also if several starters put it there at once."""
    with ThreadPoolExecutor(STARTERS) as pool:
        list(pool.map(seed, [settings.database_url] * STARTERS))
    with connected(database) as connection:
        assert connection.execute("SELECT id, title FROM notes").fetchall() == [(0, "Welcome")]


def test_seed_overwrites_nothing(settings: Settings, database: Database) -> None:
    """What people have changed stays as they have left it."""
    seed(settings.database_url)
    with connected(database) as connection:
        connection.execute("UPDATE notes SET title = 'changed'")
    seed(settings.database_url)
    with connected(database) as connection:
        assert connection.execute("SELECT title FROM notes").fetchall() == [("changed",)]
{%- if cookiecutter.database == "postgresql" %}


def test_more_connections_than_the_server_takes_are_refused(settings: Settings) -> None:
    """It is told at the start, and not under load."""
    make_sure_of_connections(settings)
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") %}
    with pytest.raises(SystemExit, match="DATABASE_CONNECTIONS=5 in each of DATABASE_POOLS=20 are 100, and the server"):
        make_sure_of_connections(settings.model_copy(update={"database_pools": 20}))
{%- else %}
    with pytest.raises(SystemExit, match="DATABASE_CONNECTIONS=1000 can be 2000 for a moment, and the server takes"):
        make_sure_of_connections(settings.model_copy(update={"database_connections": 1000}))
{%- endif %}
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") %}


def test_previous_steps_go_past_pgbouncer(settings: Settings, database: Database) -> None:
    """They use a URL of their own where there is one."""
    values = settings.model_dump(mode="json") | {
        "api_token": settings.api_token.get_secret_value(),
        "database_url": "postgresql+psycopg://notes@127.0.0.1:1/pgbouncer",
        "steps_database_url": settings.database_url,
    }
    environment = os.environ | {name.upper(): str(value) for name, value in values.items()}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    subprocess.run(["sh", "deploy/previous-steps"], cwd=PROJECT, env=environment, check=True)  # noqa: S607
    with connected(database) as connection:
        assert connection.execute("SELECT title FROM notes").fetchall() == [("Welcome",)]
{%- endif %}
{%- endif %}
