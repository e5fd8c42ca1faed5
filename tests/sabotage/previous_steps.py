"""Broken previous steps, and right ways of another kind."""

from harness import FORKED, Change, sabotage

START = "deploy/start"
STEPS = "deploy/previous-steps"
CONF = "deploy/supervisord.conf"
GUNICORN = "deploy/gunicorn.conf.py"
APP = "src/notes_api/application.py"
MODELS = "src/notes_api/models.py"
ENV = "migrations/env.py"
FIRST = "migrations/versions/0001_create_notes.py"
SECOND = "migrations/versions/0002_give_notes_a_title.py"

GUNICORN_COMMAND = "gunicorn -c deploy/gunicorn.conf.py notes_api.main:app"
RUN_STEPS = "deploy/previous-steps\n\n"
UPGRADE = 'main(argv=["upgrade", "head"])'
LAST_LINE = "control_socket_disable = True\n"
HOOK = """
import subprocess

def {hook}:
    subprocess.run(["deploy/previous-steps"], check=True)
"""
STEPS_IN_MASTER = Change(
    file=GUNICORN, old=LAST_LINE, new=LAST_LINE + HOOK.format(hook="on_starting(server)")
)
DEFERRED = Change(file=ENV, old='"BEGIN IMMEDIATE"', new='"BEGIN"')
# A failing step must not count as running, so Supervisor has to wait longer than the steps take.
DOWN_0002 = """    with op.batch_alter_table("notes") as batch:
        batch.drop_index(op.f("ix_notes_title"))
        batch.drop_column("title")
"""
SECOND_HEAD = '''"""Mark notes, on another branch."""

import sqlalchemy as sa
from alembic import op

revision = "0002b"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("notes", sa.Column("mark", sa.Integer()))


def downgrade() -> None:
    with op.batch_alter_table("notes") as batch:
        batch.drop_column("mark")
'''
TABLE = '''

class Tag(Base):
    """A tag that no migration makes."""

    __tablename__ = "tags"

    id: Mapped[int] = mapped_column(primary_key=True)
'''
THIRD = "migrations/versions/0003_change.py"
NEXT = '''"""Change notes once more."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    {up}


def downgrade() -> None:
    {down}
'''
BATCH = 'with op.batch_alter_table("notes") as batch:\n        batch.'
OLD_TITLE = 'with op.batch_alter_table("notes") as batch:\n        # With'
ADD_TITLE = 'sa.Column("title", sa.String(length=200), nullable=False, server_default="")'
TITLE = 'title: Mapped[str] = mapped_column(String(200), server_default="", index=True)'
TEXT = "    text: Mapped[str] = mapped_column(String(2000))\n"
MADE_AT = "    created_at: Mapped[datetime] = mapped_column(default=_now)\n"

SABOTAGES = [
    sabotage(
        "upgrade to a fixed revision, head is only in a comment",
        STEPS,
        UPGRADE,
        'main(argv=["upgrade", "0002"])  # head',
        "PRE001",
        more=(Change(file=THIRD, old=None, new=NEXT.format(up="pass", down="pass")),),
    ),
    sabotage(
        "previous steps in the background",
        START,
        RUN_STEPS,
        "(sleep 4; deploy/previous-steps) &\n\n",
        "BOOT006",  # Gunicorn starts a worker again and again whose import ends with SystemExit
        "PRE001",
        "PRE004",
    ),
    sabotage(
        "previous steps in start command and server",
        START,
        RUN_STEPS,
        RUN_STEPS,
        "PRE002",
        more=(STEPS_IN_MASTER,),
    ),
    sabotage(
        "previous steps in each worker",
        GUNICORN,
        FORKED,
        f'{FORKED}    import subprocess\n\n    subprocess.run(["deploy/previous-steps"], check=True)\n',
        "PRE002",
        more=(Change(file=START, old=RUN_STEPS, new="deploy/previous-steps  # and in post_fork\n\n"),),
    ),
    sabotage(
        "upgrade in the lifespan of each worker",
        APP,
        "    metrics.register_worker()\n",
        "    metrics.register_worker()\n"
        "    from anyio.to_thread import run_sync\n"
        "    from alembic.config import main\n"
        '    await run_sync(lambda: main(argv=["upgrade", "head"]))\n',
        "PRE002",
        server="uvicorn",
    ),
    sabotage(
        "failed migration is swallowed",
        STEPS,
        UPGRADE,
        f'with __import__("contextlib").suppress(Exception): {UPGRADE}',
        "PRE004",
    ),
    sabotage(
        "migration without a transaction, which only a comment begins",
        ENV,
        '    connection.exec_driver_sql("BEGIN IMMEDIATE")\n',
        '    # connection.exec_driver_sql("BEGIN IMMEDIATE")\n',
        "PRE003",
        "PRE004",
        server="uvicorn",
    ),
    sabotage(
        "lock only for writing, which comes after reading",
        ENV,
        '    connection.exec_driver_sql("BEGIN IMMEDIATE")\n',
        '    # connection.exec_driver_sql("BEGIN IMMEDIATE")\n    connection.exec_driver_sql("BEGIN")\n',
        "PRE003",
    ),
    sabotage(
        "lock taken by the first revision",
        FIRST,
        "def upgrade() -> None:\n",
        "def upgrade() -> None:\n    import fcntl\n    global lock\n"
        '    lock = open("var/data/lock", "w")\n    fcntl.flock(lock, fcntl.LOCK_EX)\n',
        "PRE003",
        more=(DEFERRED,),
    ),
    sabotage(
        "lock that is given back before the steps begin",
        STEPS,
        "exec python -c '",
        "flock var/data true\nexec python -c '",
        "PRE003",
        server="uvicorn",
        more=(DEFERRED,),
    ),
    sabotage(
        "lock around the whole command",
        STEPS,
        "exec python -c '",
        "exec flock var/data python -c '",
        more=(DEFERRED,),
    ),
    sabotage(
        "restart waits for slow previous steps",
        START,
        RUN_STEPS,
        "\n",
        "PRE005",
        more=(
            STEPS_IN_MASTER,
            Change(
                file=ENV,
                old="    with context.begin_transaction():\n",
                new='    import os, time\n    time.sleep(3 if "PROMETHEUS_MULTIPROC_DIR" in os.environ else 0)\n'
                "    with context.begin_transaction():\n",
            ),
        ),
    ),
    sabotage("table without a migration", MODELS, MADE_AT, MADE_AT + TABLE, "PRE006"),
    sabotage(
        "index that the models no longer have",
        MODELS,
        'server_default="", index=True)',
        'server_default="")  # index=True',
        "PRE006",
        server="uvicorn",
    ),
    sabotage("two heads", "migrations/versions/0002b_mark.py", None, SECOND_HEAD, "BOOT002", "PRE006"),
    sabotage("empty downgrade", SECOND, DOWN_0002, "    pass\n", "PRE007"),
    sabotage(
        "downgrade that forgets the index",
        SECOND,
        '        batch.drop_index(op.f("ix_notes_title"))\n        batch.drop_column("title")\n',
        '        batch.drop_index(op.f("ix_notes_title"))\n',
        "PRE007",
    ),
    sabotage(
        "no way back to the base",
        FIRST,
        '    op.drop_table("notes")\n',
        '    raise NotImplementedError("restore a backup")\n',
        "PRE007",
        server="uvicorn",
    ),
    sabotage(
        "a column gets another name",
        THIRD,
        None,
        NEXT.format(
            up=BATCH + 'alter_column("text", new_column_name="body")',
            down=BATCH + 'alter_column("body", new_column_name="text")',
        ),
        "PRE008",
        more=(Change(file=MODELS, old=TEXT, new=TEXT.replace("(String", '("body", String')),),
    ),
    sabotage(
        "new column without a default, which only a comment gives",
        SECOND,
        ADD_TITLE,
        'sa.Column("title", sa.String(length=200), nullable=False)',
        "PRE008",
        more=(
            Change(file=SECOND, old=OLD_TITLE, new=OLD_TITLE.replace('s")', 's", recreate="always")')),
            Change(
                file=MODELS,
                old=TITLE,
                new='title: Mapped[str] = mapped_column(String(200), index=True)  # server_default=""',
            ),
        ),
    ),
    sabotage(
        "what could be twice may be there once only",
        THIRD,
        None,
        NEXT.format(
            up=BATCH + 'create_unique_constraint(op.f("uq_notes_created_at"), ["created_at"])',
            down=BATCH + 'drop_constraint(op.f("uq_notes_created_at"), type_="unique")',
        ),
        "PRE008",
        server="uvicorn",
        more=(Change(file=MODELS, old=MADE_AT, new=MADE_AT.replace("_now)", "_now, unique=True)")),),
    ),
    sabotage(
        "new table, and a new column that may be empty",
        THIRD,
        None,
        NEXT.format(
            up='op.create_table("tags", sa.Column("id", sa.Integer(), primary_key=True))\n    '
            + BATCH
            + 'add_column(sa.Column("mark", sa.Integer()))',
            down='op.drop_table("tags")\n    ' + BATCH + 'drop_column("mark")',
        ),
        more=(
            Change(
                file=MODELS,
                old=MADE_AT,
                new=MADE_AT + "    mark: Mapped[int | None]\n" + TABLE,
            ),
        ),
    ),
    sabotage(
        "migrations get five seconds", STEPS, UPGRADE, f'__import__("signal").alarm(5); {UPGRADE}', "PRE009"
    ),
    sabotage(
        "an hour for migrations in a comment, five seconds in the script",
        STEPS,
        UPGRADE,
        f"import os, threading  # Timer(3600)\nthreading.Timer(5, os._exit, [1]).start()\n{UPGRADE}\nos._exit(0)",
        "PRE009",
        server="uvicorn",
    ),
    sabotage("previous steps in gunicorn's master", START, RUN_STEPS, "\n", more=(STEPS_IN_MASTER,)),
    sabotage(
        "previous steps in the program's command",
        START,
        RUN_STEPS,
        "\n",
        more=(
            Change(
                file=CONF,
                old=f"command={GUNICORN_COMMAND}",
                new=f'command=sh -c "deploy/previous-steps && exec {GUNICORN_COMMAND}"',
            ),
        ),
    ),
]
