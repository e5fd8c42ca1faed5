"""Gunicorn's settings in the generated project, with an app that takes its time to be imported."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from conftest import Bake

from pytest_deploycheck.probes.wait import wait_for

CONF = "deploy/gunicorn.conf.py"
GRACE_S = 25
APP = """
import pathlib, time

pathlib.Path("begun").touch()
time.sleep(1)

async def app(scope, receive, send):
    pass
"""
SERVES = """
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body"})
"""
RARELY_LOOKS = f"""
import asyncio

pause = asyncio.sleep
asyncio.sleep = lambda seconds: pause(60 * seconds)
{SERVES}"""
# asyncio's own number is 100.
MANY = 500


@contextmanager
def running(conf: Path, folder: Path, app: str) -> Iterator[subprocess.Popen[str]]:
    """Run an app with these settings."""
    (folder / "slow.py").write_text(app)
    (folder / "var/run").mkdir(parents=True)
    gunicorn = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", str(conf), "slow:app"],
        cwd=folder,
        env={"PATH_PREFIX": ""},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield gunicorn
    finally:
        with suppress(ProcessLookupError):
            os.killpg(gunicorn.pid, signal.SIGKILL)
        gunicorn.communicate()


def test_many_connections_may_wait_for_a_worker(bake: Bake) -> None:
    """While nobody accepts, a unix socket refuses at once what has no place in its queue (RES004)."""
    with tempfile.TemporaryDirectory(prefix="dc-", dir="/tmp") as folder:
        path = Path(folder, "var/run/app.sock")
        with running(bake() / CONF, Path(folder), SERVES) as gunicorn, ExitStack() as held:
            assert wait_for(lambda: _answers(path), bool, deadline_s=20)
            os.killpg(gunicorn.pid, signal.SIGSTOP)
            for _ in range(MANY):
                line = held.enter_context(socket.socket(socket.AF_UNIX))
                line.settimeout(0)
                line.connect(str(path))
            os.killpg(gunicorn.pid, signal.SIGCONT)


def _answers(path: Path) -> bool:
    """Tell whether a request is answered."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(1)
        try:
            line.connect(str(path))
            line.sendall(b"GET / HTTP/1.1\r\nHost: app\r\n\r\n")
            return b" 204 " in line.recv(100)
        except OSError:
            return False


def test_a_stop_while_the_app_is_imported_is_not_lost(tmp_path: Path, bake: Bake) -> None:
    """Workers that are told to stop before they serve stop when they can, not after the whole time of grace."""
    with running(bake() / CONF, tmp_path, APP) as gunicorn:
        deadline = time.monotonic() + 10
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        gunicorn.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, log = gunicorn.communicate(timeout=2 * GRACE_S)
        assert time.monotonic() - began < GRACE_S / 2, log
        assert gunicorn.returncode == 0, log


def test_a_stop_does_not_wait_for_the_next_look(bake: Bake) -> None:
    """Gunicorn's worker looks once a second whether it is to stop: here once a minute, and nobody waits for it."""
    with (
        tempfile.TemporaryDirectory(prefix="dc-", dir="/tmp") as folder,
        running(bake() / CONF, Path(folder), RARELY_LOOKS) as gunicorn,
    ):
        assert wait_for(lambda: _answers(Path(folder, "var/run/app.sock")), bool, deadline_s=20)
        gunicorn.send_signal(signal.SIGTERM)
        _, log = gunicorn.communicate(timeout=GRACE_S / 2)
        assert gunicorn.returncode == 0, log
        assert "Worker exiting" in log, log
