"""Broken deployments on PostgreSQL, and right ways of another kind."""

from functools import partial

from harness import Change, sabotage

postgresql = partial(sabotage, answers=(("database", "postgresql"),), touches=("PRE001", "PRE003", "PRE004"))

ENV = "migrations/env.py"
DATABASE = "src/notes_api/database.py"
LOCK = "    if not is_at_head(connection):\n        lock(connection)\n"
WAIT = '    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": LOCK}):\n'
POOLCLASS = "    poolclass=NullPool,\n"
ON_ANOTHER = "    with engine.connect() as another:\n        lock(another)\n"
POOL = """        pool_size=max(1, settings.database_connections // settings.web_concurrency),
        max_overflow=0,
        pool_timeout=5,
        pool_pre_ping=True,
"""

FEW = Change(file="pyproject.toml", old="max_connections = 100", new="max_connections = 27")

SABOTAGES = [
    postgresql(
        "postgresql: no lock, it is only in a comment", ENV, LOCK, "    # lock(connection)\n", "PRE003"
    ),
    postgresql(
        "postgresql: the lock is on another connection, which is closed", ENV, LOCK, ON_ANOTHER, "PRE003"
    ),
    postgresql(
        "postgresql: each starter has a lock of its own",
        ENV,
        "LOCK = 0x6E6F746573\n",
        "import os\n\nLOCK = os.getpid()\n",
        "PRE003",
    ),
    postgresql(
        "postgresql: each statement of a migration is kept at once",
        ENV,
        POOLCLASS,
        f'{POOLCLASS}    isolation_level="AUTOCOMMIT",\n',
        "PRE004",
    ),
    postgresql(
        "postgresql: nobody waits for a late database",
        ENV,
        "PATIENCE_S = 60",
        "PATIENCE_S = 0",
        "BOOT003",
        touches=("BOOT003",),
    ),
    postgresql(
        "postgresql: each worker may have all connections",
        DATABASE,
        "max(1, settings.database_connections // settings.web_concurrency)",
        "settings.database_connections",
        "REP007",
        more=(FEW,),
        touches=("REP007", "RST010"),
    ),
    # Right ways of another kind: nothing may fail.
    postgresql(
        "postgresql: a server with few connections, and workers that share them",
        DATABASE,
        "max_overflow=0",
        "max_overflow=1",
        more=(FEW,),
        touches=("REP007",),
    ),
    postgresql(
        "postgresql: the database itself lets the others wait",
        ENV,
        WAIT,
        WAIT.replace("pg_try_advisory_lock(:key)", "pg_advisory_lock(:key) IS NOT NULL"),
        touches=("PRE001", "PRE002", "PRE003", "PRE004"),
    ),
    postgresql(
        "postgresql: a lock also at head",
        ENV,
        LOCK,
        "    lock(connection)\n",
        touches=("PRE001", "PRE003", "PRE005"),
    ),
    postgresql(
        "postgresql: no pool",
        DATABASE,
        POOL,
        "        poolclass=NullPool,\n",
        more=(
            Change(
                file=DATABASE,
                old="from sqlalchemy.ext.asyncio import",
                new="from sqlalchemy import NullPool\nfrom sqlalchemy.ext.asyncio import",
            ),
        ),
        touches=("RST010", "BOOT003", "PRE004"),
    ),
]
