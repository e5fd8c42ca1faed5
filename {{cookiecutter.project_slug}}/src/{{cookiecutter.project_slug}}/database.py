{% if cookiecutter.database == "postgresql" -%}
"""PostgreSQL, asynchronously: this worker's share of its connections, and a session for each request."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from {{ cookiecutter.project_slug }}.settings import Settings

# In milliseconds; the server ends what takes longer, so that nobody holds a connection or a lock for ever.
LIMITS = {"statement_timeout": 20_000, "lock_timeout": 5_000, "idle_in_transaction_session_timeout": 30_000}


def create_engine(settings: Settings) -> AsyncEngine:
    """Open a pool; all workers together never have more than DATABASE_CONNECTIONS (REP007).

    A connection is tried before it is used, so a server that was restarted costs no request and no restart (RST010).
    """
    return create_async_engine(
        settings.database_url,
        pool_size=max(1, settings.database_connections // {% if cookiecutter.process_manager == "swarm" %}settings.replicas // {% endif %}settings.web_concurrency),
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
        connect_args={
            "connect_timeout": 3,
            "application_name": "{{ cookiecutter.project_slug }}",
            "options": " ".join(f"-c {name}={value}" for name, value in LIMITS.items()),
        },
    )


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(request.app.state.engine, expire_on_commit=False) as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]
{%- else -%}
"""SQLite, asynchronously: how the file is opened, and a session for each request."""

from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from sqlalchemy import Connection, NullPool, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine

from {{ cookiecutter.project_slug }}.settings import Settings


def create_engine(settings: Settings) -> AsyncEngine:
    """Open the database, but never make an empty one: a file that is missing is an error (RST010).

    No pool: opening a file is quick, and a connection that is kept would go on reading a file that was moved away.
    """
    path = quote(make_url(settings.database_url).database or "")
    engine = create_async_engine(
        f"sqlite+aiosqlite:///file:{path}?uri=true&mode=rw",
        # Without an isolation level, Python's sqlite3 leaves BEGIN to us. The timeout is the wait for another writer.
        connect_args={"isolation_level": None, "timeout": 5},
        poolclass=NullPool,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def check_foreign_keys(connection: DBAPIConnection, _record: object) -> None:
        connection.cursor().execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


async def _session(request: Request) -> AsyncIterator[AsyncSession]:
    async with AsyncSession(request.app.state.engine, expire_on_commit=False) as session:
        yield session


Session = Annotated[AsyncSession, Depends(_session)]
{%- endif %}
