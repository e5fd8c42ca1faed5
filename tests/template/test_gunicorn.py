"""Gunicorn's settings in the generated project, with an app that takes its time to be imported."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from conftest import Bake

CONF = "deploy/gunicorn.conf.py"
GRACE_S = 25
APP = """
import pathlib, time

pathlib.Path("begun").touch()
time.sleep(1)

async def app(scope, receive, send):
    pass
"""


def test_a_stop_while_the_app_is_imported_is_not_lost(tmp_path: Path, bake: Bake) -> None:
    """Workers that are told to stop before they serve stop when they can, not after the whole time of grace."""
    (tmp_path / "slow.py").write_text(APP)
    (tmp_path / "var/run").mkdir(parents=True)
    gunicorn = subprocess.Popen(
        [sys.executable, "-m", "gunicorn", "-c", str(bake() / CONF), "slow:app"],
        cwd=tmp_path,
        env={"PATH_PREFIX": ""},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 10
        while not (tmp_path / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        gunicorn.send_signal(signal.SIGTERM)
        began = time.monotonic()
        _, log = gunicorn.communicate(timeout=2 * GRACE_S)
    finally:
        gunicorn.kill()
    assert time.monotonic() - began < GRACE_S / 2, log
    assert gunicorn.returncode == 0, log
