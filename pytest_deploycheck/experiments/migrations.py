"""The project's migrations: read, and walked up and down on a database of their own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from pytest_deploycheck.databases import find, inside
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.outcome import NotApplicable, NotVerified
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.workshop import Workshop


@dataclass(frozen=True, kw_only=True)
class OldRelease:
    """How a release of the revision before the head does on the schema of the head.

    Attributes:
        revision: the one before the head.
        statements: how many statements were sent that work on that one's schema.
        failed: those that the head's schema does not take, each with the database's error.
    """

    revision: str
    statements: int
    failed: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Migrations:
    """What the project's migrations are, and how they do on an empty database.

    Attributes:
        steps: what was done.
        heads: revisions that no other follows.
        revisions: all of them, the first one first.
        versions: their folder, relative to the project.
        error: why an empty database cannot be brought to head, None if it can.
        drift: how the models differ from the schema at head, None if they do not, "" if there are no models to compare.
        broken: what went wrong on the way down, up and down again, None if nothing.
        old_release: None if no single revision comes before the head.
    """

    steps: tuple[str, ...]
    heads: tuple[str, ...]
    revisions: tuple[str, ...]
    versions: str
    error: str | None
    drift: str | None
    broken: str | None
    old_release: OldRelease | None

    @property
    def previous(self) -> str | None:
        """The revision before the head, None if there is only one."""
        return self.revisions[-2] if len(self.revisions) > 1 else None


@lane(Lane.ALONE)
def walk_migrations(workshop: Workshop) -> Migrations:
    """Let the project's own Python and Alembic walk the migrations, on a database of their own.

    Raises:
        NotApplicable: there is no database, or no Alembic.
        NotVerified: the script does not run in the project's environment.
    """
    config = workshop.config
    if config.database_url is None:
        raise NotApplicable("the project declares no database: [tool.deploycheck] database_url")
    copy = workshop.run.copy()
    database = find(config)
    settings = alembic_settings(copy.root)
    result = copy.root.with_suffix(".stairway")
    environment = {**config.env, **database.environment(copy)}
    done = copy.python(
        Path(inside.__file__).with_name("stairway.py"), str(result), settings, extra=environment
    )
    if not result.exists():
        raise NotVerified(f"Alembic does not run on {settings} in the project's .venv: {done.tail(3)}")
    seen = json.loads(result.read_text(encoding="utf-8"))
    old = seen["old_release"]
    return Migrations(
        steps=(f"walk through {len(seen['revisions'])} revisions on an empty {database.NAME} database",),
        heads=tuple(seen["heads"]),
        revisions=tuple(seen["revisions"]),
        versions=seen["versions"],
        error=seen["error"],
        drift=seen["drift"],
        broken=seen["broken"],
        old_release=old and OldRelease(**{**old, "failed": tuple(old["failed"])}),
    )


def alembic_settings(root: Path) -> str:
    """Return the file with Alembic's settings, relative to the project.

    Raises:
        NotApplicable: there is none.
    """
    for pattern in ("alembic.ini", "[!.]*/alembic.ini", "[!.]*/[!.]*/alembic.ini"):
        if found := sorted(root.glob(pattern)):
            return str(found[0].relative_to(root))
    file = root / "pyproject.toml"
    if file.is_file() and "[tool.alembic]" in file.read_text(encoding="utf-8"):
        return "pyproject.toml"
    raise NotApplicable(
        "the project has no Alembic migrations: neither alembic.ini nor [tool.alembic] was found"
    )


@dataclass(frozen=True)
class UpgradeRun:
    """One run of ``alembic upgrade``; ``took_s`` is None if it did not end."""

    pid: int
    at: float
    took_s: float | None


def upgrade_runs(copy: ProjectCopy, *, since: float, until: float) -> list[UpgradeRun]:
    """Return the runs of ``alembic upgrade`` that began between two moments (``time.monotonic()``)."""
    ends = copy.events.named("upgrade.end", since=since)
    runs = []
    for begin in copy.events.named("upgrade.begin", since=since, until=until):
        took_s = next(
            (event.t - begin.t for event in ends if event.pid == begin.pid and event.t >= begin.t), None
        )
        runs.append(UpgradeRun(begin.pid, begin.t, took_s))
    return runs
