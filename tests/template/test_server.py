"""What starts Uvicorn's workers in a container, with an app that takes its time, or cannot be imported."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from conftest import bake_into

from pytest_deploycheck.servers import uvicorn

GRACE_S = 25
DEADLINE_S = 30
SERVES = """
import pathlib, time

pathlib.Path("begun").touch()
time.sleep(1)

async def app(scope, receive, send):
    pass
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The generated file."""
    folder = tmp_path_factory.mktemp("uvicorn") / "projects"
    return bake_into(folder, process_manager="compose", app_server="uvicorn") / "deploy/server.py"


@contextmanager
def running(
    server: Path, folder: Path, main: str, package: str = "notes_api"
) -> Iterator[subprocess.Popen[str]]:
    """Run it with one worker, as deploy/serve does, on an app of its own."""
    serve = (server.parent / "serve").read_text(encoding="utf-8")
    (words,) = re.findall(r"^exec python (.+)$", serve, re.MULTILINE)
    command = [sys.executable, *words.replace("deploy/server.py", str(server)).split()]
    for name, text in {"__init__": "", "logs": "def configure(level): pass\n", "main": main}.items():
        (folder / package).mkdir(exist_ok=True)
        (folder / f"{package}/{name}.py").write_text(text)
    (folder / "var/run").mkdir(parents=True)
    values = {"PATH_PREFIX": "", "LOG_LEVEL": "INFO", "WEB_CONCURRENCY": "1", "PYTHONPATH": str(folder)}
    process = subprocess.Popen(
        command, cwd=folder, env=os.environ | values, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            for one in [process, *psutil.Process(process.pid).children(recursive=True)]:
                one.kill()
            process.communicate()


def wait_until_it_begins(folder: Path) -> None:
    """Wait until the app is being imported."""
    deadline = time.monotonic() + DEADLINE_S
    while not (folder / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_nothing_of_gunicorn_is_there(server: Path) -> None:
    """No file of the other server is in the project, and no word of it in what runs the containers."""
    project = server.parent.parent
    names = {path.name for path in server.parent.iterdir()}
    assert names == {"Caddyfile", "guard.py", "health.py", "previous-steps", "reload", "serve", "server.py"}
    for name in (
        "Dockerfile",
        "compose.yaml",
        "pyproject.toml",
        "README.md",
        *(f"deploy/{name}" for name in names),
    ):
        assert "gunicorn" not in (project / name).read_text(encoding="utf-8").lower(), name


def test_advice_names_files_of_the_project(server: Path) -> None:
    """Where a failed check is said to be mended, there is a file."""
    files = {advice.file for advice in uvicorn.CONTAINER_ADVICE.values()}
    assert "deploy/server.py" in files
    assert all((server.parent.parent / file).is_file() for file in files)


def test_one_worker_has_a_parent_too(tmp_path: Path, server: Path) -> None:
    """Whatever ends the only worker of a container, its parent keeps the socket open and starts another one."""
    with running(server, tmp_path, SERVES) as process:
        wait_until_it_begins(tmp_path)
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(tmp_path / f"var/run/{socket.gethostname()}.sock"))
        workers = psutil.Process(process.pid).children()
        assert len(workers) == 1
        (tmp_path / "begun").unlink()
        workers[0].kill()
        wait_until_it_begins(tmp_path)
        assert (tmp_path / "begun").exists()
        assert process.poll() is None


@pytest.mark.parametrize("manager", ["kubernetes", "cloud"])
def test_elsewhere_it_listens_at_the_port_that_it_is_given(
    manager: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pods and platforms have no volume for a socket: it is the port in PORT, at each address of the container."""
    answers = {"process_manager": manager, "database": "postgresql", "app_server": "uvicorn"}
    server = bake_into(tmp_path / "projects", **answers) / "deploy/server.py"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("PORT", str(port))
    with running(server, tmp_path, SERVES):
        wait_until_it_begins(tmp_path)
        with socket.create_connection(("127.0.0.1", port), DEADLINE_S):
            assert not list((tmp_path / "var/run").iterdir())


def test_with_traefik_two_of_them_listen_at_the_same_port(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a release is replaced, two containers serve there; each has a socket of its own for its health check."""
    answers = {"process_manager": "compose", "https_proxy": "traefik", "app_server": "uvicorn"}
    server = bake_into(tmp_path / "projects", **answers) / "deploy/server.py"
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("APP_PORT", str(port))
    text = server.read_text(encoding="utf-8")
    own = "/tmp/app.sock"
    assert own in text
    for name in ("one", "two"):  # containers have a /tmp of their own
        (tmp_path / name).mkdir()
        (server.parent / f"{name}.py").write_text(text.replace(own, str(tmp_path / name / "app.sock")))
    with (
        running(server.with_name("one.py"), tmp_path / "one", SERVES) as first,
        running(server.with_name("two.py"), tmp_path / "two", SERVES) as second,
    ):
        for name, process in (("one", first), ("two", second)):
            wait_until_it_begins(tmp_path / name)
            assert process.poll() is None, name
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(str(tmp_path / name / "app.sock"))
        with socket.create_connection(("127.0.0.1", port), DEADLINE_S):
            pass


def test_a_project_may_be_called_like_the_file(tmp_path: Path) -> None:
    """No file in deploy/ is imported in the place of the project's package."""
    answers = {"process_manager": "compose", "app_server": "uvicorn", "project_slug": "server"}
    server = bake_into(tmp_path / "projects", **answers) / "deploy/server.py"
    with running(server, tmp_path, SERVES, package="server") as process:
        wait_until_it_begins(tmp_path)
        assert process.poll() is None
        assert (tmp_path / "begun").exists()


def test_a_stop_while_the_app_is_imported_is_not_lost(tmp_path: Path, server: Path) -> None:
    """Workers that are told to stop before they serve stop when they can; no socket is left."""
    with running(server, tmp_path, SERVES) as process:
        wait_until_it_begins(tmp_path)
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, log = process.communicate(timeout=2 * GRACE_S)
        assert time.monotonic() - began < GRACE_S / 2, log
        assert process.returncode == 0, log
        assert not list((tmp_path / "var/run").glob(f"{socket.gethostname()}.*"))


@pytest.mark.parametrize(
    ("main", "said"),
    [
        ("raise RuntimeError('broken')", "RuntimeError: broken"),
        ("raise SystemExit('API_TOKEN is missing')", "API_TOKEN"),
    ],
    ids=["error", "settings"],
)
def test_an_app_that_cannot_be_imported_ends_the_parent(
    tmp_path: Path, server: Path, main: str, said: str
) -> None:
    """Nothing is tried again without a pause: that is the engine's part. What was wrong is told."""
    with running(server, tmp_path, main) as process:
        _, log = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 3, log
        assert said in log
