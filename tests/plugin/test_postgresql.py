"""The generated project on a real PostgreSQL server: many starters, a killed one, and a server that is in need."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from harness import Change, Sabotage
from previous_steps import NEXT, THIRD
from small_disk import full, require_namespaces, server_on_a_small_disk

from pytest_deploycheck.databases.postgresql import PostgreSQL
from pytest_deploycheck.experiments.migrations import walk_migrations
from pytest_deploycheck.probes.processes import kill
from pytest_deploycheck.probes.traffic import SteadyTraffic
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.reader import load
from pytest_deploycheck.sandbox.postgresql_server import PostgresServer
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import start_and_watch
from pytest_deploycheck.workshop import Workshop

STARTERS = 16
STEPS = "deploy/previous-steps"
SLOW_WHILE_A_FILE_IS_THERE = """
from pathlib import Path

from alembic import op

revision = "slow"
down_revision = "0002"


def upgrade() -> None:
    op.execute("CREATE TABLE half (id integer)")
    if Path({flag!r}).exists():
        op.execute("SELECT pg_sleep(60)")


def downgrade() -> None:
    op.drop_table("half")
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def workshop(baked: Callable[..., Path]) -> Iterator[Workshop]:
    """The project with PostgreSQL, nothing started yet."""
    made = Workshop(load(baked(app_server="gunicorn", database="postgresql")))
    yield made
    made.close()


@pytest.fixture
def fresh(workshop: Workshop) -> tuple[ProjectCopy, PostgreSQL, dict[str, str]]:
    """A copy with an empty database, and the values that its commands need."""
    copy, database = workshop.run.copy(), PostgreSQL(workshop.config)
    return copy, database, {**workshop.config.env, **database.relocate(copy)}


def test_sixteen_starters_at_once(fresh: tuple[ProjectCopy, PostgreSQL, dict[str, str]]) -> None:
    """Each revision is applied once, and all of them succeed."""
    copy, database, values = fresh
    with ThreadPoolExecutor(STARTERS) as pool:
        runs = list(pool.map(lambda _: copy.call(STEPS, values), range(STARTERS)))
    assert [run.tail() for run in runs if run.status != 0] == []
    applied = Counter(event.data["id"] for event in copy.events.named("revision") if event.data["up"])
    assert applied == {"0001": 1, "0002": 1}
    assert database.version(copy) == "0002"


def test_a_killed_starter_gives_its_lock_to_the_next(
    fresh: tuple[ProjectCopy, PostgreSQL, dict[str, str]],
) -> None:
    """In the middle of a statement, too; and nothing of what it did is left."""
    copy, database, values = fresh
    assert copy.call(STEPS, values).status == 0
    flag = copy.root.with_suffix(".flag")
    flag.touch()
    (copy.root / "migrations/versions/slow.py").write_text(SLOW_WHILE_A_FILE_IS_THERE.format(flag=str(flag)))
    server = database.server(copy)

    def sleeping() -> bool:
        query = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'"
        with server.connect("postgres") as connection:
            row = connection.execute(query, [database.name(copy)]).fetchone()
        return row == (1,)

    before = set(copy.pids())
    copy.spawn(STEPS, values)
    assert wait_for(sleeping, bool, deadline_s=30), copy.log_file.read_text()
    flag.unlink()
    kill(copy.pids() - before)
    assert "half" not in database.schema(copy)
    second = copy.call(STEPS, values)
    assert second.status == 0, second.output
    assert database.version(copy) == "slow"


def test_an_index_that_is_being_built_holds_no_start_up(
    fresh: tuple[ProjectCopy, PostgreSQL, dict[str, str]],
) -> None:
    """It keeps others from counting what is in the table, for as long as it takes."""
    copy, database, values = fresh
    assert copy.call(STEPS, values).status == 0
    with database.server(copy).connect(database.name(copy)) as connection, connection.transaction():
        connection.execute("LOCK TABLE notes IN SHARE UPDATE EXCLUSIVE MODE")
        again = copy.call(STEPS, values, timeout_s=30)
    assert again.status == 0, again.output


def test_a_restarted_server_costs_no_restart_of_the_app(workshop: Workshop) -> None:
    """Requests fail only while it is away, and the same workers serve on."""
    stack = workshop.stack()
    assert start_and_watch(stack).served
    workers = stack.processes().workers
    server = PostgresServer.of(workshop.run)
    requests = stack.config.requests
    with SteadyTraffic(stack.entry, requests.read, clients=2) as traffic:
        assert traffic.wait_for_good(4)
        server.stop()
        assert (
            wait_for(lambda: stack.entry.status(requests.ready), lambda seen: seen == 503, deadline_s=10)
            == 503
        )
        assert stack.entry.status(requests.live) == 200
        server.start()
        assert (
            wait_for(lambda: stack.entry.status(requests.ready), lambda seen: seen == 200, deadline_s=10)
            == 200
        )
        traffic.wait_for_any(2)
        failed = len(traffic.time_line.failed)
        assert traffic.wait_for_good(10)
        assert len(traffic.time_line.failed) == failed
    assert workers <= stack.processes().workers  # one that had not answered before counts only now


def write(stack: Stack) -> int:
    """Store a long note, and return the status of the answer."""
    body = {"text": "x" * 2000}
    return stack.entry.request("POST", "/notes", json=body).status_code


def test_the_disk_of_the_server_is_full(workshop: Workshop) -> None:
    """Writing fails, reading goes on, and with room again all is well without a restart."""
    require_namespaces()
    server = server_on_a_small_disk(workshop.run)
    stack = workshop.stack()
    assert start_and_watch(stack).served
    workers, requests = stack.processes().workers, stack.config.requests
    assert write(stack) == 201
    with full(server):
        refused = wait_for(lambda: write(stack), lambda status: status != 201, deadline_s=20, every_s=0)
        assert refused in (500, 503, 507)
        for path in (requests.live, requests.ready, requests.read):
            assert stack.entry.status(path) == 200
        log = stack.copy.root / "var/log/app.log"
        assert wait_for(lambda: "No space left on device" in log.read_text(), bool, deadline_s=5)
    assert wait_for(lambda: write(stack), lambda status: status == 201, deadline_s=10) == 201
    assert workers <= stack.processes().workers


def test_somebody_else_has_all_connections(workshop: Workshop) -> None:
    """Who gets none is told soon that there is none, liveness stays, and afterwards all is well without a restart."""
    stack = workshop.stack()
    assert start_and_watch(stack).served
    workers, requests = stack.processes().workers, stack.config.requests
    server = PostgresServer.of(workshop.run)
    with contextlib.ExitStack() as held:
        with contextlib.suppress(psycopg.OperationalError):
            while True:
                held.enter_context(server.connect())
        answers = [stack.entry.request("GET", requests.ready, timeout_s=10) for _ in range(8)]
        assert {answer.status_code for answer in answers} <= {200, 503}
        assert stack.entry.status(requests.live) == 200
    assert (
        wait_for(lambda: stack.entry.status(requests.ready), lambda seen: seen == 200, deadline_s=10) == 200
    )
    assert wait_for(lambda: stack.entry.status(requests.read), lambda seen: seen == 200, deadline_s=10) == 200
    assert workers <= stack.processes().workers


def test_a_destructive_migration_is_told_with_column_and_statement(
    broken: Callable[[Sabotage], Path],
) -> None:
    """PRE008 says what of the old release fails, in the database's words."""
    dropped = NEXT.format(up='op.drop_column("notes", "text")', down="raise NotImplementedError")
    project = broken(
        Sabotage(
            id="text is dropped",
            changes=(Change(file=THIRD, old=None, new=dropped),),
            caught_by=frozenset({"PRE008"}),
            answers=(("database", "postgresql"),),
        )
    )
    with contextlib.closing(Workshop(load(project))) as workshop:
        old = walk_migrations(workshop).old_release
    assert old
    assert old.revision == "0002"
    assert "SELECT of notes.text: column notes.text does not exist" in old.failed
    assert any(line.startswith("INSERT of ") and '"text" of relation "notes"' in line for line in old.failed)
