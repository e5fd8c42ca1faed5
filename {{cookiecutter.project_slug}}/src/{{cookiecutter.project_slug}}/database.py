"""SQLite, asynchronously: how the file is opened, and a session for each request."""

from collections.abc import AsyncIterator
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from sqlalchemy import Connection, NullPool, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, create_async_engine


def create_engine(database_url: str) -> AsyncEngine:
    """Open the database, but never make an empty one: a file that is missing is an error (RST010).

    No pool: opening a file is quick, and a connection that is kept would go on reading a file that was moved away.
    """
    path = quote(make_url(database_url).database or "")
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
