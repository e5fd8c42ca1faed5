"""Pods reach PostgreSQL through PgBouncer, as docs/sizing.md says: a few connections serve many of them."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import psycopg
import pytest
from dotenv import dotenv_values
from harness import bake

from pytest_deploycheck.config import Config
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.postgresql_server import USER, PostgresServer, as_nobody
from pytest_deploycheck.sandbox.run import Run
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH

PGBOUNCER = shutil.which("pgbouncer", path=SYSTEM_PATH)
PODS, STARTERS, CLIENTS, NOTES = 3, 4, 24, 300
# So many connections PgBouncer may have. Each pod keeps up to five of its own with PgBouncer.
CONNECTIONS = 4
CONFIG = """[databases]
notes_api = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = users
pool_mode = transaction
max_db_connections = {connections}
max_client_conn = 1000
ignore_startup_parameters = options
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PGBOUNCER, reason="apt-get install pgbouncer"),
]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project that prepares no statement: only PgBouncer 1.22 and newer knows on which connection one is."""
    made = bake(tmp_path, process_manager="kubernetes", database="postgresql")
    file = made / "src/notes_api/database.py"
    text, line = file.read_text(encoding="utf-8"), '            "connect_timeout": 3,\n'
    assert line in text
    file.write_text(text.replace(line, f'{line}            "prepare_threshold": None,\n'), encoding="utf-8")
    return made


@pytest.fixture
def run(project: Path) -> Iterator[Run]:
    """What the servers belong to."""
    made = Run(Config(root=project, project="p", env={}, settings={}, domain="localhost", manager_config=""))
    yield made
    made.close()


@pytest.fixture
def server(run: Run) -> PostgresServer:
    """PostgreSQL itself, with an empty database."""
    made = PostgresServer.of(run)
    with made.connect() as connection:
        connection.execute("CREATE DATABASE notes_api")
    return made


@pytest.fixture
def values(project: Path, run: Run, server: PostgresServer) -> dict[str, str]:
    """The values of a pod: DATABASE_URL leads to a PgBouncer that runs, and past it for the previous steps."""
    folder, port = run.shelf / "pgbouncer", run.ports.take()
    folder.mkdir()
    config = CONFIG.format(server=server.port, port=port, connections=CONNECTIONS)
    (folder / "pgbouncer.ini").write_text(config, encoding="ascii")
    (folder / "users").write_text(f'"{USER}" "{server.password}"\n', encoding="ascii")
    tag = dict([run.tag.split("=")])
    with (folder / "log").open("wb") as log:
        run.popen(
            [str(PGBOUNCER), "pgbouncer.ini"], cwd=folder, env=tag, stdout=log, stderr=log, **as_nobody()
        )
    url = f"postgresql+psycopg://{USER}:{server.password}@127.0.0.1"
    return {
        **{key: value or "" for key, value in dotenv_values(project / ".env").items()},
        **tag,
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "PYTHONPATH": str(project / "src"),
        "DATABASE_URL": f"{url}:{port}/notes_api",
        "STEPS_DATABASE_URL": f"{url}:{server.port}/notes_api",
        "DATABASE_POOLS": "1",
    }


def start_pod(project: Path, run: Run, values: dict[str, str]) -> str:
    """Run a server; return its address."""
    port = run.ports.take()
    command = [sys.executable, "-m", "uvicorn", "notes_api.main:app", f"--port={port}", "--log-level=warning"]
    run.popen(command, cwd=project, env=values)
    return f"http://127.0.0.1:{port}"


def is_ready(pod: str) -> bool:
    """Tell whether a pod is ready."""
    try:
        return httpx2.get(f"{pod}/health/ready").is_success
    except httpx2.TransportError:
        return False


def write_and_read(pod: str, number: int, token: str) -> int:
    """Write a note and read it; return the first status that is none of success, or that of reading."""
    headers = {"Authorization": f"Bearer {token}"}
    with httpx2.Client(base_url=pod, headers=headers, timeout=20) as client:
        written = client.post("/notes", json={"text": f"note {number}"})
        return (
            client.get(written.headers["Location"]).status_code if written.is_success else written.status_code
        )


def test_few_connections_serve_many_pods(
    project: Path, run: Run, server: PostgresServer, values: dict[str, str]
) -> None:
    """Previous steps at the same time take turns, and each request is answered."""
    steps = [
        subprocess.Popen([project / "deploy/previous-steps"], cwd=project, env=values)
        for _ in range(STARTERS)
    ]
    assert [step.wait(timeout=60) for step in steps] == [0] * STARTERS
    pods = [start_pod(project, run, values) for _ in range(PODS)]
    assert wait_for(lambda: all(map(is_ready, pods)), bool, deadline_s=30)
    with ThreadPoolExecutor(CLIENTS) as pool:
        tokens = [values["API_TOKEN"]] * NOTES
        statuses = pool.map(write_and_read, itertools.cycle(pods), range(NOTES), tokens)
        assert Counter(statuses) == {200: NOTES}
    assert open_connections(server) <= CONNECTIONS
    with psycopg.connect(values["DATABASE_URL"].replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM notes WHERE text LIKE 'note %'").fetchone() == (
            NOTES,
        )


def open_connections(server: PostgresServer) -> int:
    """Count the connections that PostgreSQL has for the database; PgBouncer keeps those that it has opened."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'notes_api'"
    with server.connect() as connection:
        return int(connection.execute(query).fetchone()[0])
