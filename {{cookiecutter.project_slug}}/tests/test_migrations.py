"""Every migration goes up and down, leaves nothing half done, and ends where the models are."""

import shutil
{%- if cookiecutter.database == "postgresql" %}
import time
from concurrent.futures import ThreadPoolExecutor
{%- endif %}
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from conftest import PROJECT, Database, alembic_config, connected

BROKEN = """
import sqlalchemy as sa
from alembic import op

revision = "broken"
down_revision = "{head}"


def upgrade() -> None:
    op.create_table("half", sa.Column("id", sa.Integer()))
    op.execute("INSERT INTO notes (text, created_at) VALUES ('half', '2026-01-01')")
    raise RuntimeError("on the way")
"""


{% if cookiecutter.database == "postgresql" -%}
SCHEMA = """
SELECT table_name, column_name, data_type, character_maximum_length, is_nullable, column_default
FROM information_schema.columns WHERE table_schema = 'public'
UNION SELECT tablename, indexname, indexdef, NULL, NULL, NULL FROM pg_indexes WHERE schemaname = 'public'
"""
{%- else -%}
SCHEMA = """
SELECT tables.name, columns.name, columns.type, "notnull", dflt_value, pk
FROM sqlite_master AS tables JOIN pragma_table_info(tables.name) AS columns WHERE tables.type = 'table'
UNION SELECT indexes.tbl_name, columns.name, indexes.name, seqno, NULL, NULL
FROM sqlite_master AS indexes JOIN pragma_index_info(indexes.name) AS columns WHERE indexes.type = 'index'
"""
{%- endif %}


def schema(database: Database) -> set[tuple[str | int | None, ...]]:
    """Read all columns and indexes; not how they were written down, which a copy of a table changes."""
    with connected(database) as connection:
        return set(connection.execute(SCHEMA).fetchall())


def test_models_and_migrations_agree(database: Database) -> None:
    """There is nothing that `alembic revision --autogenerate` would add, and one head."""
    command.check(alembic_config(database))


def test_each_migration_goes_down_and_up_again(database: Database) -> None:
    """A step down and up again gives the same schema, at every step of the stairs, with a note on board."""
    config = alembic_config(database)
    with connected(database) as connection:
        connection.execute("INSERT INTO notes (text, created_at) VALUES ('on board', '2026-01-01')")
    for script in ScriptDirectory.from_config(config).walk_revisions():
        before = schema(database)
        command.downgrade(config, "-1")
        assert schema(database) != before
        command.upgrade(config, script.revision)
        assert schema(database) == before
        command.downgrade(config, "-1")


def test_broken_migration_leaves_nothing_behind(database: Database, tmp_path: Path) -> None:
    """{% if cookiecutter.database == "sqlite" %}SQLite takes back tables and rows alike, if a transaction was begun before them.{% else %}PostgreSQL takes back tables and rows alike.{% endif %}"""
    config = alembic_config(database)
    head = ScriptDirectory.from_config(config).get_current_head()
    shutil.copytree(PROJECT / "migrations", tmp_path / "migrations")
    (tmp_path / "migrations" / "versions" / "broken.py").write_text(BROKEN.format(head=head))
    config.set_main_option("script_location", str(tmp_path / "migrations"))
    before = schema(database)
    with pytest.raises(RuntimeError, match="on the way"):
        command.upgrade(config, "head")
    assert schema(database) == before
    with connected(database) as connection:
        assert connection.execute("SELECT count(*) FROM notes").fetchone() == (0,)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchone() == (head,)
{%- if cookiecutter.database == "postgresql" %}


HOLD_THE_LOCK = "SELECT pg_advisory_lock(x'6E6F746573'::bigint)"  # that of migrations/env.py


def test_nobody_waits_at_head(database: Database) -> None:
    """A start with nothing to do takes no lock."""
    with connected(database) as connection:
        connection.execute(HOLD_THE_LOCK)
        command.upgrade(alembic_config(database), "head")


def test_second_starter_waits_and_says_so(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """It goes on when the first one is done, which gives its lock back when it ends."""
    config = alembic_config(database)
    command.downgrade(config, "-1")
    before = schema(database)
    caplog.set_level("INFO")
    with ThreadPoolExecutor(1) as pool, connected(database) as first:
        first.execute(HOLD_THE_LOCK)
        second = pool.submit(command.upgrade, config, "head")
        deadline = time.monotonic() + 30
        while "another starter migrates" not in caplog.text and time.monotonic() < deadline:
            time.sleep(0.05)
        assert "another starter migrates" in caplog.text
        assert schema(database) == before
        first.close()
        second.result(timeout=30)
    assert schema(database) != before


def test_database_that_does_not_come_is_named() -> None:
    """After the deadline there is one line, and no password in it."""
    config = alembic_config("postgresql+psycopg://notes:secret@127.0.0.1:1/notes")
    config.attributes["patience_s"] = 0
    with pytest.raises(SystemExit, match=r"^DATABASE_URL postgresql\S* cannot be opened: ") as error:
        command.upgrade(config, "head")
    assert "secret" not in str(error.value)
{%- endif %}
