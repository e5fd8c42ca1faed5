"""New releases of the project: copies with one more migration, which fails."""

from __future__ import annotations

import textwrap
import time
from dataclasses import dataclass

from pytest_deploycheck.charts import RequestChart, around
from pytest_deploycheck.experiments.migrations import Migrations
from pytest_deploycheck.experiments.starts import Refusal, watch_refusal
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.traffic import SteadyTraffic, TimeLine
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.values import set_value
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.workshop import Workshop

BROKEN_REVISION = "deploycheck_broken"
BROKEN = (
    'op.create_table("deploycheck_half", sa.Column("id", sa.Integer(), primary_key=True))',
    'raise RuntimeError("deploycheck: this revision fails")',
)
REVISION = '''
"""A revision that the checks have appended."""

import time

import sqlalchemy as sa
from alembic import op

revision = {revision!r}
down_revision = {head!r}
branch_labels = None
depends_on = None


def upgrade() -> None:
{body}


def downgrade() -> None:
    pass
'''


def append_revision(copy: ProjectCopy, migrations: Migrations, revision: str, *body: str) -> None:
    """Put one more revision after the head, or write its lines anew."""
    file = copy.root / migrations.versions / f"{revision}.py"
    lines = textwrap.indent("\n".join(body), "    ")
    file.write_text(
        REVISION.format(revision=revision, head=migrations.heads[0], body=lines), encoding="utf-8"
    )


@dataclass(frozen=True, kw_only=True)
class FailedStep:
    """A new release with a broken revision was started on the database of the running one.

    Attributes:
        at: ``time.monotonic()`` of its start.
        start: what its start did.
        schema_before, schema_after: of the database.
        version_before, version_after: the revision that Alembic has noted.
        traffic: requests to the running release meanwhile.
    """

    at: float
    start: Refusal
    schema_before: dict[str, str]
    schema_after: dict[str, str]
    version_before: str | None
    version_after: str | None
    traffic: TimeLine

    @property
    def charts(self) -> list[RequestChart]:
        """The running release's requests."""
        moments = [
            (self.at, "start of the broken release"),
            (self.at + self.start.took_s, "it is refused" if self.start.refused else "it is not refused"),
        ]
        answers = {"to the running release": self.traffic.answers}
        return [around("requests around a broken release", answers, moments)]

    @property
    def half_applied(self) -> list[str]:
        """What is in the schema now and was not, or the other way round."""
        before, after = self.schema_before.items(), self.schema_after.items()
        return sorted({name for name, _ in before ^ after})


def start_broken_release(workshop: Workshop, stack: Stack, migrations: Migrations) -> FailedStep:
    """Start a copy of the project, with one more revision that fails, on the database of ``stack``.

    Raises:
        NotVerified: the copy cannot be led to that database.
    """
    database, copy = stack.database, workshop.run.copy()
    environment = database.environment(stack.copy)
    if not environment:
        raise NotVerified(
            "the database's URL is no setting that a second release could be given: "
            'write [tool.deploycheck] database_url = "$NAME_OF_THE_SETTING"'
        )
    append_revision(copy, migrations, BROKEN_REVISION, *BROKEN)
    release = workshop.stack(environment, copy=copy)
    for name, value in environment.items():
        set_value(copy, name, value)
    schema, version = database.schema(stack.copy), database.version(stack.copy)
    try:
        with SteadyTraffic(stack.entry, stack.config.requests.read, clients=2) as traffic:
            traffic.wait_for_good(4)
            at = time.monotonic()
            start = watch_refusal(workshop, release, f"the previous steps fail at revision {BROKEN_REVISION}")
            traffic.wait_for_good(4, deadline_s=3)
    finally:
        release.end()
    return FailedStep(
        at=at,
        start=start,
        schema_before=schema,
        schema_after=database.schema(stack.copy),
        version_before=version,
        version_after=database.version(stack.copy),
        traffic=traffic.time_line,
    )
