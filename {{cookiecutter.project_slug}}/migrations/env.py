{% if cookiecutter.database == "postgresql" -%}
"""Alembic's environment: the app's own settings and models, one starter at a time, and all or nothing."""

import logging
import time

from alembic import context
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, NullPool, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from {{ cookiecutter.project_slug }}.models import Base
from {{ cookiecutter.project_slug }}.settings import load

PATIENCE_S = 60
TELL_EVERY_S = 10
# Any number, as long as nobody else takes it for a lock in this database.
LOCK = 0x6E6F746573

logging.basicConfig(format="%(message)s", level=logging.INFO)
logger = logging.getLogger(__name__)
database_url = context.config.attributes.get("database_url") or load().database_url
engine = create_engine(
    database_url,
    poolclass=NullPool,
    connect_args={
        "connect_timeout": 5,
        "application_name": "{{ cookiecutter.project_slug }} migrations",
        # A migration that waits for a lock keeps all others waiting behind it. And when a starter is killed, the server
        # notices it also in the middle of a statement, and gives its lock to the next one.
        "options": "-c lock_timeout=10000 -c client_connection_check_interval=1000",
    },
)


def connect() -> Connection:
    """Open the database; wait for one that comes up later than the app (BOOT003)."""
    patience_s = context.config.attributes.get("patience_s", PATIENCE_S)
    deadline = time.monotonic() + patience_s
    told = False
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            where = make_url(database_url).render_as_string(hide_password=True)
            if time.monotonic() > deadline:
                raise SystemExit(f"DATABASE_URL {where} cannot be opened: {error.orig}") from None
            if not told:
                logger.warning("waiting %d s for DATABASE_URL %s: %s", patience_s, where, error.orig)
            told = True
        time.sleep(0.5)


def is_at_head(connection: Connection) -> bool:
    """Tell whether nothing is left to do: then nobody has to wait for anybody."""
    found = MigrationContext.configure(connection).get_current_heads()
    connection.rollback()
    return set(found) == set(context.script.get_heads())


def lock(connection: Connection) -> None:
    """Wait until no other starter migrates (PRE003). The lock belongs to the connection, and goes when it is closed."""
    began, told_at = time.monotonic(), float("-inf")
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK}):
        connection.rollback()
        if time.monotonic() > told_at + TELL_EVERY_S:
            told_at = time.monotonic()
            logger.info("another starter migrates: waiting until it is done, for %d s now", told_at - began)
        time.sleep(0.2)
    connection.commit()


with connect() as connection:
    if not is_at_head(connection):
        lock(connection)
    # PostgreSQL takes back tables too: all revisions of one command are one transaction (PRE004).
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
{%- else -%}
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
{%- endif %}
