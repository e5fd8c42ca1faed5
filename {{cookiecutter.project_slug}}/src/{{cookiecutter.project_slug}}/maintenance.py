"""What is done once for a deployment, however many workers it has: `deploy/previous-steps` does it (REP005)."""

{% if cookiecutter.database == "postgresql" -%}
from sqlalchemy import NullPool, create_engine
from sqlalchemy.dialects.postgresql import insert
{%- else -%}
import sqlite3
from contextlib import closing

from sqlalchemy import NullPool, create_engine, make_url
from sqlalchemy.dialects.sqlite import insert
{%- endif %}

from {{ cookiecutter.project_slug }}.models import Note
{%- if cookiecutter.database == "postgresql" %}
from {{ cookiecutter.project_slug }}.settings import Settings
{%- endif %}

# The database numbers notes from 1, so it never gives out this number by itself.
WELCOME = {"id": 0, "title": "Welcome", "text": "This note came with the release. Yours follow it."}


{% if cookiecutter.database == "postgresql" -%}
def make_sure_of_connections(settings: Settings) -> None:
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") %}
    """Refuse what would fail only under load (REP007): each instance has its pool."""
    wanted = settings.database_pools * settings.database_connections
{%- else %}
    """Refuse what would fail only under load (REP007): while a release is replaced there can be two of each worker."""
    wanted = 2 * settings.database_connections
{%- endif %}
    with create_engine(settings.database_url, poolclass=NullPool).connect() as connection:
        limits = connection.exec_driver_sql(
            "SELECT current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int"
        )
        most, reserved = limits.one()
    if wanted > most - reserved:
        raise SystemExit(
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") %}
            f"DATABASE_CONNECTIONS={settings.database_connections} in each of DATABASE_POOLS={settings.database_pools} "
            f"are {wanted}, and the server takes {most - reserved}: lower one of them, or raise max_connections"
{%- else %}
            f"DATABASE_CONNECTIONS={settings.database_connections} can be {wanted} for a moment, "
            f"and the server takes {most - reserved}: lower it in .env, or raise max_connections"
{%- endif %}
        )


{% endif -%}
def seed(database_url: str) -> None:
    """Put there what each deployment begins with; what is there already is left as it is.

    Not in a migration: those are done once in the life of a database, and this at each start. The key decides who is
    first, so it can be done again, and by several starters at once (PRE003).
    """
{%- if cookiecutter.database == "postgresql" %}
    engine = create_engine(database_url, poolclass=NullPool)
{%- else %}
    url = make_url(database_url).set(drivername="sqlite")
    engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": 60})
{%- endif %}
    with engine.begin() as connection:
        connection.execute(insert(Note).values(WELCOME).on_conflict_do_nothing(index_elements=["id"]))


def maintain(database_url: str) -> None:
{%- if cookiecutter.database == "postgresql" %}
    """Let PostgreSQL count again what is in its tables: so it chooses the right index.

    A table that somebody works on, as an index being built for an hour, is left out: the start does not wait for it.
    """
    engine = create_engine(database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE (SKIP_LOCKED)")
{%- else %}
    """Let SQLite count again what is in its tables, as far as that has changed: so it chooses the right index."""
    with closing(sqlite3.connect(str(make_url(database_url).database), timeout=60)) as connection:
        connection.execute("PRAGMA optimize=0x10002")
{%- endif %}
