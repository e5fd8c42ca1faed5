"""Every migration goes up and down, leaves nothing half done, and ends where the models are."""

import shutil
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
