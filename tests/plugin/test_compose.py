"""What is read of Compose files and of the container engine, and what is said where there is none."""

from __future__ import annotations

import json
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import unquote

import pytest

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.engine import Container, Engine
from pytest_deploycheck.sandbox.health_timers import HealthTimers
from pytest_deploycheck.stacks.compose import ComposeStack
from pytest_deploycheck.stacks.compose.containers import Containers
from pytest_deploycheck.stacks.compose.database import DatabaseService
from pytest_deploycheck.stacks.compose.services import Services, mount_of, seconds
from pytest_deploycheck.stacks.selection import stack_for

# What Docker 20.10 says of a container whose server was killed, less what nobody reads here.
SHOWN = {
    "Id": "ea286f46e325",
    "Name": "/notes_api_app_2",
    "RestartCount": 1,
    "Created": "2026-11-25T20:00:00.1Z",
    "State": {
        "Status": "running",
        "Pid": 4242,
        "ExitCode": 0,
        "FinishedAt": "2026-11-25T20:01:00.2Z",
        "Health": {"Status": "healthy"},
    },
    "Config": {
        "Labels": {
            "com.docker.compose.project": "notes_api",
            "com.docker.compose.service": "app",
        },
        "Healthcheck": {"Test": ["CMD-SHELL", "deploy/health.py"], "Interval": 50_000_000},
    },
    "HostConfig": {"RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 0}},
}

# What podman 4.3 says of itself.
PODMAN = {"Components": [{"Name": "Podman Engine", "Version": "4.3.1"}, {"Name": "Conmon"}]}


# Where podman runs the health check of a container.
HEALTH = f"/v4.0.0/libpod/containers/{SHOWN['Id']}/healthcheck"


class Answers(BaseHTTPRequestHandler):
    """Answers as the engine does."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answer."""
        self.asked.append(self.path)
        is_list = self.path.startswith("/containers/json")
        known = unquote(self.path).endswith('"com.docker.compose.project=notes_api"]}') if is_list else True
        shown = PODMAN if self.path == "/version" else SHOWN
        body = json.dumps([{"Id": SHOWN["Id"]}] if is_list and known else [] if is_list else shown).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        """A unix socket has no addresses of clients."""
        return "unix"

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine with one container."""
    path = tmp_path / "docker.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), Answers) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Engine(path)
        server.shutdown()
        thread.join()


def test_containers_of_a_project_are_found(engine: Engine) -> None:
    """Only the containers of the project are returned, with what the engine says of each."""
    found = Container(
        identity="ea286f46e325",
        service="app",
        status="running",
        pid=4242,
        exit_status=0,
        health="healthy",
        restarts=1,
        created="2026-11-25T20:00:00.1Z",
        ended="2026-11-25T20:01:00.2Z",
        health_test=("/bin/sh", "-c", "deploy/health.py"),
        health_every_s=0.05,
        restart="on-failure",
    )
    assert engine.containers("notes_api") == [found]
    assert engine.containers("another") == []


def test_what_the_engine_does_not_start_again_is_told(engine: Engine) -> None:
    """One reason for each service, also for one that is not there: what does not run is not brought back."""
    containers = Containers(engine=engine, project="notes_api", app="app", proxy="proxy")
    assert containers.forgotten() == ["proxy (it does not run)", "app (restart: on-failure)"]


def test_the_container_that_a_release_left_is_asked_for_its_health(engine: Engine) -> None:
    """After a release the only container is the second one, and Compose would ask the first one."""
    containers = Containers(engine=engine, project="notes_api", app="app", proxy="proxy")
    assert containers.health_check() == "docker exec ea286f46e325 /bin/sh -c deploy/health.py"
    nobody = Containers(engine=engine, project="notes_api", app="web", proxy="proxy")
    assert nobody.health_check() is None


def test_an_engine_that_is_away_has_no_containers(tmp_path: Path) -> None:
    """Whoever polls while the engine is restarted gets no error."""
    engine = Engine(tmp_path / "docker.sock")
    assert engine.pid == 0
    assert engine.containers("notes_api") == []


@pytest.mark.parametrize("address", ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:2375"])
def test_without_an_engine_nothing_is_verified(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """The message names the address that was tried, and what to do."""
    monkeypatch.setenv("DOCKER_HOST", address)
    with pytest.raises(NotVerified, match=rf"answers at {address}: start Docker, or set DOCKER_HOST"):
        Engine.here()


@pytest.mark.parametrize("has_systemd", [True, False])
def test_podman_leaves_health_checks_to_systemd(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *, has_systemd: bool
) -> None:
    """Without its timers podman says "starting" of a container for ever."""
    monkeypatch.setattr(
        "pytest_deploycheck.sandbox.engine.SYSTEMD", tmp_path / ("." if has_systemd else "none")
    )
    assert engine.asks_health is has_systemd


def test_health_checks_that_nobody_asks_are_asked(engine: Engine) -> None:
    """Each container is asked again and again, as long as somebody wants to know."""
    over = threading.Event()
    HealthTimers(engine, "notes_api", over.is_set).start()
    asked = wait_for(lambda: Answers.asked.count(HEALTH), lambda count: count > 2, deadline_s=10)
    over.set()
    assert asked > 2


@pytest.mark.parametrize("name", ["compose.yaml", "docker-compose.prod.yml", "deploy/compose.yml"])
def test_a_compose_file_is_run_by_compose(copy: Any, name: str) -> None:
    """The name of the file tells who runs it."""
    object.__setattr__(copy.run.config, "manager_config", name)
    assert stack_for(copy.run.config) is ComposeStack


@pytest.mark.parametrize(("text", "expected"), [("35s", 35), ("1m30s", 90), ("500ms", 0.5), (None, 10)])
def test_durations(text: str | None, expected: float) -> None:
    """Durations are read as Compose reads them; none is the usual one."""
    assert seconds(text, 10) == expected


@pytest.mark.parametrize(
    "mount", ["data:/app/var/data", "data:/app/var/data:ro", {"source": "data", "target": "/app/var/data"}]
)
def test_mounts(mount: object) -> None:
    """Mounts are read in their short and their long form."""
    assert mount_of(mount) == ("data", "/app/var/data")


@pytest.mark.parametrize(
    "command",
    [
        "deploy/serve",
        ["deploy/serve", "--quickly"],
        ["sh", "-c", "deploy/serve || exit 1"],
        ["/bin/sh", "-c", "exec deploy/serve"],
    ],
    ids=str,
)
def test_a_script_of_the_project_is_read_also_where_a_shell_runs_it(tmp_path: Path, command: Any) -> None:
    """What it becomes tells which service the app is."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/serve").write_text("#!/bin/sh\nexec gunicorn notes.main:app\n", encoding="utf-8")
    service = {"image": "notes", "command": command}
    services = Services(root=tmp_path, by_name={"app": service}, volumes=frozenset())
    assert services.is_script(service)
    assert services.commands == {"app": "gunicorn notes.main:app"}


def database_of(root: Path, service: dict[str, Any]) -> DatabaseService:
    """Return what is known of a service beside an app that shares its socket."""
    app = {
        "build": ".",
        "volumes": ["socket:/app/var/sockets"],
        "environment": {"POSTGRES_PASSWORD": "the app's"},
    }
    services = Services(
        root=root,
        by_name={"app": app, "db": {"image": "postgres:18", **service}},
        volumes=frozenset({"socket", "data"}),
        secrets={"pw": root / "pw"},
    )
    assert services.database == "db"
    assert "data" not in services.mounts()
    nothing = lambda _name: None  # noqa: E731
    return DatabaseService("db", services, start=nothing, stop=nothing)


@pytest.mark.parametrize(
    "secret", ["pw", {"source": "pw"}, {"source": "pw", "target": "/run/secrets/pw"}], ids=str
)
def test_database_of_a_compose_file_is_known_by_what_its_image_asks_for(tmp_path: Path, secret: Any) -> None:
    """The password is found, in the environment or in a file, and the socket where others have it too."""
    plain = database_of(
        tmp_path, {"environment": ["POSTGRES_PASSWORD=s=1"], "volumes": ["data:/var/lib/postgresql"]}
    )
    assert (plain.password, plain.socket_folder) == ("s=1", tmp_path / "var/postgresql")
    (tmp_path / "pw").write_text("of a file\n", encoding="ascii")
    more = {"POSTGRES_PASSWORD_FILE": "/run/secrets/pw"}
    volumes = [
        "data:/var/lib/postgresql",
        {"type": "volume", "source": "socket", "target": "/var/run/postgresql"},
    ]
    shared = database_of(tmp_path, {"environment": more, "secrets": [secret], "volumes": volumes})
    assert shared.password == "of a file"
    assert shared.socket_folder == tmp_path / "var/sockets"


def test_server_that_comes_late_runs_what_the_container_would_have_run(tmp_path: Path) -> None:
    """A script waits before the image's own entrypoint, with the command of the file; what lets it come is a file."""
    service = database_of(tmp_path, {"environment": {"POSTGRES_PASSWORD": "x"}, "command": "postgres -c a=b"})
    words = lambda _image: (["docker-entrypoint.sh"], ["postgres"])  # noqa: E731
    assert "entrypoint" not in service.moved({}, words)
    arrive = service.hold()
    moved = service.moved({"A": "b"}, words)
    assert moved["entrypoint"] == ["/bin/sh", "/var/run/postgresql/deploycheck.late", "docker-entrypoint.sh"]
    assert (moved["command"], moved["environment"]) == (["postgres", "-c", "a=b"], {"A": "b"})
    script = service.socket_folder / "deploycheck.late"
    arrive()
    said = subprocess.run(
        ["/bin/sh", script, "echo", "here"], check=True, capture_output=True, text=True, timeout=10
    )
    assert said.stdout == "here\n"
