{% if cookiecutter.database == "postgresql" -%}
"""What is done once for a deployment, however many workers it has: `deploy/previous-steps` does it (REP005)."""

from sqlalchemy import NullPool, create_engine


def maintain(database_url: str) -> None:
    """Let PostgreSQL count again what is in its tables: so it chooses the right index."""
    engine = create_engine(database_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
{%- else -%}
"""What is done once for a deployment, however many workers it has: `deploy/previous-steps` does it (REP005)."""

import sqlite3
from contextlib import closing

from sqlalchemy import make_url


def maintain(database_url: str) -> None:
    """Let SQLite count again what is in its tables, as far as that has changed: so it chooses the right index."""
    with closing(sqlite3.connect(str(make_url(database_url).database), timeout=60)) as connection:
        connection.execute("PRAGMA optimize=0x10002")
{%- endif %}
