"""Give notes a title.

{% if cookiecutter.database == "sqlite" %}SQLite changes little of an existing table; Alembic's batch mode copies it into a new one where it must.

{% endif %}Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("notes") as batch:
        # With a default, so that the release before this one can still write (PRE008).
        batch.add_column(sa.Column("title", sa.String(length=200), nullable=False, server_default=""))
        batch.create_index(op.f("ix_notes_title"), ["title"])


def downgrade() -> None:
    with op.batch_alter_table("notes") as batch:
        batch.drop_index(op.f("ix_notes_title"))
        batch.drop_column("title")
