"""What a container of the app runs: when the proxy is led to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import bake_into

from pytest_deploycheck.probes.wait import wait_for

DEADLINE_S = 30
OWN = "/tmp/was-ready"  # containers have a /tmp of their own
MAIN = """
from pathlib import Path

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    status = 200 if Path("ready").exists() else 503
    with Path("asked").open("a") as file:
        file.write(f"{status}\\n")
    await send({"type": "http.response.start", "status": status})
    await send({"type": "http.response.body"})
"""


# How long a task may take to be ready, and its workers to end.
SHORTER = {
    "deploy/serve": ("timeout 60", "timeout 3"),
    "deploy/gunicorn.conf.py": ("graceful_timeout = 25", "graceful_timeout = 2"),
    "deploy/server.py": ("time.monotonic() + 30", "time.monotonic() + 2"),
}
HANGS = MAIN.replace("await receive()", "await asyncio.sleep(3600)", 1).replace(
    "from", "import asyncio\nfrom", 1
)


@contextmanager
def serving(folder: Path, main: str, **answers: str) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Run ``deploy/serve`` of a project with some answers and an app of its own, in a folder whose path is short."""
    baked = bake_into(folder / "projects", **answers)
    with tempfile.TemporaryDirectory(prefix="dc-", dir="/tmp") as short:  # as paths of sockets have to be
        project = Path(short, "project")
        shutil.copytree(baked, project)
        (project / "src/notes_api/main.py").write_text(main, encoding="utf-8")
        (project / "deploy/previous-steps").write_text("#!/bin/sh\n", encoding="utf-8")
        (project / "var/run").mkdir(parents=True)
        _change(project / "deploy/health.py", OWN, str(project / "was-ready"))
        for file, (old, new) in SHORTER.items():
            if (project / file).exists() and answers["process_manager"] == "swarm":
                _change(project / file, old, new)
        (project / "var/run/app.sock").symlink_to("before.sock")
        values = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOSTNAME": socket.gethostname(),
            "TMPDIR": short,
            "PATH_PREFIX": "",
            "LOG_LEVEL": "INFO",
            "WEB_CONCURRENCY": "1",
            "MEMORY_LIMIT_MB": "512",
            "HAS_VALUES": "yes",
            "SLOT": "1",
            "REPLICAS": "1",
        }
        with (project / "log").open("wb") as log:
            serve = subprocess.Popen(
                ["deploy/serve"], cwd=project, env=values, start_new_session=True, stdout=log, stderr=log
            )
        try:
            yield project, serve
        finally:
            os.killpg(serve.pid, signal.SIGKILL)
            serve.wait()


def _change(file: Path, old: str, new: str) -> None:
    """Change a file of the project."""
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_the_proxy_finds_a_container_when_that_is_ready(server: str, tmp_path: Path) -> None:
    """The name at which it looks leads to the container before, until the new one has said that it is ready."""
    with serving(tmp_path, MAIN, process_manager="compose", app_server=server) as (project, _):
        name, asked = project / "var/run/app.sock", project / "asked"
        assert wait_for(
            lambda: asked.exists() and len(asked.read_text().split()) > 1, bool, deadline_s=DEADLINE_S
        )
        assert set(asked.read_text().split()) == {"503"}
        assert name.readlink() == Path("before.sock")
        (project / "ready").touch()
        assert wait_for(lambda: name.readlink() != Path("before.sock"), bool, deadline_s=DEADLINE_S)
        assert name.readlink() == Path(f"{socket.gethostname()}.sock")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(name))


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
@pytest.mark.parametrize("main", [MAIN, HANGS], ids=["never ready", "never started"])
def test_a_task_that_is_not_ready_in_time_ends(main: str, server: str, tmp_path: Path) -> None:
    """By itself, and says so: only of a task that has ended does a swarm take a release back."""
    with serving(tmp_path, main, process_manager="swarm", app_server=server) as (project, serve):
        assert serve.wait(timeout=DEADLINE_S) == 0
        assert "it is not ready after a minute" in (project / "log").read_text(encoding="utf-8")


def test_a_task_that_is_ready_lives(tmp_path: Path) -> None:
    """Also when it is not ready any more, after that time."""
    with serving(tmp_path, MAIN, process_manager="swarm", app_server="uvicorn") as (project, serve):
        (project / "ready").touch()
        assert wait_for((project / "was-ready").exists, bool, deadline_s=DEADLINE_S)
        (project / "ready").unlink()
        with pytest.raises(subprocess.TimeoutExpired):
            serve.wait(timeout=5)
