"""Alembic's environment: the app's own settings and models, and all that one command does in one transaction."""

import logging
import time

from alembic import context
from sqlalchemy import Connection, NullPool, create_engine, make_url
from sqlalchemy.exc import DBAPIError, OperationalError

from {{ cookiecutter.project_slug }}.models import Base
from {{ cookiecutter.project_slug }}.settings import load

PATIENCE_S = 60

logging.basicConfig(format="%(message)s", level=logging.INFO)
logger = logging.getLogger(__name__)
database_url = context.config.attributes.get("database_url") or load().database_url
engine = create_engine(
    make_url(database_url).set(drivername="sqlite"),
    # Left to itself, Python's sqlite3 begins no transaction before CREATE or DROP, and they cannot be taken back.
    connect_args={"isolation_level": None, "timeout": 60},
    poolclass=NullPool,
)


def connect() -> Connection:
    """Open the database; wait for one that comes up later than the app, as when a volume is mounted late (BOOT003)."""
    deadline = time.monotonic() + PATIENCE_S
    told = False
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            if time.monotonic() > deadline:
                raise
            if not told:
                logger.warning("waiting %d s for DATABASE_URL %s: %s", PATIENCE_S, database_url, error.orig)
            told = True
        time.sleep(0.5)


def write_ahead(connection: Connection) -> None:
    """Let readers go on while one writes; the file remembers it. SQLite itself waits for nobody here (PRE003)."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
        except OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


try:
    connection = connect()
    write_ahead(connection)
    # At once the lock for writing: whoever else starts waits here, and then finds nothing left to do (PRE003).
    connection.exec_driver_sql("BEGIN IMMEDIATE")
except DBAPIError as error:
    raise SystemExit(f"DATABASE_URL {database_url} cannot be opened: {error.orig}") from None
with connection:
    context.configure(connection=connection, target_metadata=Base.metadata, render_as_batch=True)
    with context.begin_transaction():
        context.run_migrations()
    connection.commit()
