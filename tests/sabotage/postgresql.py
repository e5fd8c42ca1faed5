"""Broken deployments on PostgreSQL, and right ways of another kind."""

from functools import partial

from harness import Change, sabotage
from previous_steps import (
    ADD_TITLE,
    APP,
    MADE_AT,
    MODELS,
    NEXT,
    RUN_STEPS,
    SECOND,
    SECOND_HEAD,
    START,
    STEPS,
    TABLE,
    TEXT,
    THIRD,
    TITLE,
    UPGRADE,
)

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

LIFESPAN = "    metrics.register_worker()\n"
NOTES = "src/notes_api/notes.py"
ENGINE = "    app.state.engine = create_engine(app.state.settings)\n"
IN_ONE = """    with context.begin_transaction():
        context.run_migrations()
"""
MADE_FROM_MODELS = """from sqlalchemy import create_engine
from notes_api.models import Base
with create_engine(settings.database_url).begin() as connection:
    connection.exec_driver_sql("SELECT pg_advisory_xact_lock(1)")
    Base.metadata.create_all(connection)
main(argv=["stamp", "head"])"""

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
    postgresql(
        "postgresql: a pool without a limit",
        DATABASE,
        "max(1, settings.database_connections // settings.web_concurrency),\n        max_overflow=0",
        "0,\n        max_overflow=0",
        "REP007",
        more=(FEW,),
        touches=("REP007",),
    ),
    postgresql(
        "postgresql: the lock is of a transaction that ends before the upgrade",
        ENV,
        "pg_try_advisory_lock",
        "pg_try_advisory_xact_lock",
        "PRE003",
    ),
    postgresql(
        "postgresql: who does not get the lock at once gives up",
        ENV,
        WAIT,
        f'{WAIT}        raise SystemExit("another starter migrates")\n',
        "PRE003",
    ),
    postgresql(
        "postgresql: the first rows can be put there once only",
        "src/notes_api/maintenance.py",
        '.on_conflict_do_nothing(index_elements=["id"])',
        "",
        "BOOT004",
        "PRE003",
        "RST009",
    ),
    postgresql(
        "postgresql: upgrade in the lifespan of each worker",
        APP,
        LIFESPAN,
        f"{LIFESPAN}    from anyio.to_thread import run_sync\n    from alembic.config import main\n"
        '    await run_sync(lambda: main(argv=["upgrade", "head"]))\n',
        "PRE002",
        touches=("PRE002",),
    ),
    postgresql(
        "postgresql: the tables are made from the models, and the newest revision is only noted",
        STEPS,
        UPGRADE,
        MADE_FROM_MODELS,
        "PRE002",
        "PRE004",
        "PRE009",
    ),
    postgresql(
        "postgresql: a failed migration is swallowed",
        STEPS,
        UPGRADE,
        f"try: {UPGRADE}\nexcept Exception as error: print(error)",
        "PRE004",
        touches=("PRE004",),
    ),
    postgresql("postgresql: the start goes on after a failed step", START, "set -eu", "set -u", "PRE004"),
    postgresql(
        "postgresql: previous steps in the background",
        START,
        RUN_STEPS,
        "(sleep 4; deploy/previous-steps) &\n\n",
        "BOOT006",
        "PRE001",
        "PRE004",
    ),
    postgresql(
        "postgresql: two heads",
        "migrations/versions/0002b_mark.py",
        None,
        SECOND_HEAD,
        "BOOT002",
        "PRE006",
    ),
    postgresql(
        "postgresql: a table without a migration",
        MODELS,
        MADE_AT,
        MADE_AT + TABLE,
        "PRE006",
        touches=("PRE006",),
    ),
    postgresql(
        "postgresql: a downgrade that leaves the column",
        SECOND,
        '        batch.drop_column("title")\n',
        "",
        "PRE007",
        touches=("PRE007",),
    ),
    postgresql(
        "postgresql: a column is dropped that the running release still reads",
        THIRD,
        None,
        NEXT.format(
            up='op.add_column("notes", sa.Column("body", sa.String(2000), nullable=False, server_default=""))\n'
            '    op.execute("UPDATE notes SET body = text")\n    op.drop_column("notes", "text")',
            down='op.alter_column("notes", "body", new_column_name="text", server_default=None)',
        ),
        "PRE008",
        more=(
            Change(
                file=MODELS,
                old=TEXT,
                new=TEXT.replace("(String(2000))", '("body", String(2000), server_default="")'),
            ),
        ),
        touches=("PRE008",),
    ),
    postgresql(
        "postgresql: a new column without a default",
        SECOND,
        ADD_TITLE,
        'sa.Column("title", sa.String(length=200), nullable=False)',
        "PRE008",
        more=(
            Change(file=MODELS, old=TITLE, new="title: Mapped[str] = mapped_column(String(200), index=True)"),
        ),
        touches=("PRE008",),
    ),
    postgresql(
        "postgresql: who is silent in a transaction for five seconds is thrown out, also a migration",
        ENV,
        "-c lock_timeout=10000 ",
        "-c lock_timeout=10000 -c idle_in_transaction_session_timeout=5000 ",
        "PRE009",
        touches=("PRE009",),
    ),
    postgresql(
        "postgresql: each worker keeps one connection for ever, readiness asks over another one",
        APP,
        ENGINE,
        f"{ENGINE}    app.state.connection = await app.state.engine.connect()\n",
        "RST010",
        more=(
            Change(
                file=NOTES,
                old="    found = await session.scalars(",
                new="    await request.app.state.connection.scalar(select(1))\n    found = await session.scalars(",
            ),
            Change(
                file=NOTES,
                old="    session: Session,\n    after",
                new="    session: Session,\n    request: Request,\n    after",
            ),
        ),
        touches=("RST010",),
    ),
    # Right ways of another kind: nothing may fail.
    postgresql(
        "postgresql: a lock of the transaction, taken in it before Alembic reads the revision",
        ENV,
        IN_ONE,
        IN_ONE.replace(
            "        context",
            '        connection.execute(text("SELECT pg_advisory_xact_lock(4711)"))\n        context',
        ),
        more=(Change(file=ENV, old=LOCK, new=""),),
        touches=("PRE003",),
    ),
    postgresql(
        "postgresql: each revision is a transaction of its own",
        ENV,
        "target_metadata=Base.metadata)",
        "target_metadata=Base.metadata, transaction_per_migration=True)",
        touches=("PRE003", "PRE004"),
    ),
    postgresql(
        "postgresql: a lock around the whole command",
        STEPS,
        "exec python -c '",
        "exec flock deploy/previous-steps python -c '",
        more=(Change(file=ENV, old=LOCK, new=""),),
        touches=("PRE003",),
    ),
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
