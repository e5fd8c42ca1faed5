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


@pytest.fixture(params=["gunicorn", "uvicorn"])
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A project with an app that is ready when a file says so; its path is short, as those of sockets have to be."""
    baked = bake_into(tmp_path / "projects", process_manager="compose", app_server=request.param)
    with tempfile.TemporaryDirectory(prefix="dc-", dir="/tmp") as folder:
        project = Path(folder, "project")
        shutil.copytree(baked, project)
        (project / "src/notes_api/main.py").write_text(MAIN, encoding="utf-8")
        (project / "var/run").mkdir(parents=True)
        health = project / "deploy/health.py"
        text = health.read_text(encoding="utf-8")
        assert OWN in text
        health.write_text(text.replace(OWN, str(project / "was-ready")), encoding="utf-8")
        yield project


def test_the_proxy_finds_a_container_when_that_is_ready(project: Path) -> None:
    """The name at which it looks leads to the container before, until the new one has said that it is ready."""
    name, asked = project / "var/run/app.sock", project / "asked"
    name.symlink_to("before.sock")
    values = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOSTNAME": socket.gethostname(),
        "TMPDIR": str(project.parent),
        "PATH_PREFIX": "",
        "LOG_LEVEL": "INFO",
        "WEB_CONCURRENCY": "1",
        "MEMORY_LIMIT_MB": "512",
    }
    serve = subprocess.Popen(
        ["deploy/serve"], cwd=project, env=values, start_new_session=True, stderr=subprocess.DEVNULL
    )
    try:
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
    finally:
        os.killpg(serve.pid, signal.SIGKILL)
        serve.wait()
