"""The units of a generated project, as systemd's own tools see them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import copy_of

ORDINARY_USER = "daemon"
MOST_EXPOSED = 2.0

pytestmark = [
    pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="apt-get install systemd"),
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user"),
]


COMBINATIONS = [
    {"app_server": server, "https_proxy": proxy, "database": database}
    for server, database in (("gunicorn", "postgresql"), ("uvicorn", "sqlite"))
    for proxy in ("caddy", "haproxy", "nginx", "traefik")
]


@pytest.fixture(params=COMBINATIONS, ids=lambda answers: "-".join(answers.values()))
def units(request: pytest.FixtureRequest, baked: Callable[..., Path], tmp_path: Path) -> list[Path]:
    """Install the units of a project that belongs to an ordinary user below an empty folder."""
    project = copy_of(baked(process_manager="systemd", **request.param), tmp_path / "notes_api")
    shutil.chown(project / "deploy/run", ORDINARY_USER)
    folder = tmp_path / "machine/etc/systemd/system"
    folder.mkdir(parents=True)
    subprocess.run(
        [project / "deploy/enable"],
        env={"DESTDIR": str(tmp_path / "machine")},
        check=True,
        capture_output=True,
    )
    return sorted(path for kind in ("service", "socket", "timer") for path in folder.glob(f"*.{kind}"))


def test_systemd_has_nothing_to_object(units: list[Path]) -> None:
    """systemd-analyze ends with 0 also where a setting is unknown, so it must say nothing at all."""
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""


def test_units_may_do_little(units: list[Path]) -> None:
    """Should somebody break into the app, systemd leaves little to do there: an exposure of 2.0 at most."""
    for unit in units:
        if unit.suffix == ".service":
            done = subprocess.run(
                ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit],
                capture_output=True,
                text=True,
                check=True,
            )
            found = re.search(r"exposure level for \S+: ([0-9.]+)", done.stdout)
            assert found, done.stdout
            assert float(found[1]) <= MOST_EXPOSED, done.stdout


def test_units_run_as_the_owner(units: list[Path]) -> None:
    """No place holder is left, and nothing runs as root."""
    texts = [path.read_text() for path in [*units, *units[0].parent.glob("*.service.d/*.conf")]]
    assert not [text for text in texts if re.search(r"@[A-Z_]+@", text)]
    assert f"User={ORDINARY_USER}" in "".join(texts)
