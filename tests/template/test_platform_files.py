"""The files of a project for platforms."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from conftest import bake_into
from ruamel.yaml import YAML

FILES = ("deploy/cloud/contract.toml", "deploy/cloud/cloud-run.yaml", "fly.toml", "render.yaml", "README.md")
OTHERS = ("supervisor", "systemd", "compose", "swarm", "kubernetes", "nginx", "traefik", "haproxy", "sqlite")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project."""
    folder = tmp_path_factory.mktemp("cloud") / "projects"
    return bake_into(
        folder, process_manager="cloud", database="postgresql", workers="3", memory_limit_mb="1024"
    )


def test_nothing_of_other_answers_is_there(project: Path) -> None:
    """No file of another manager, proxy or database, and no word of one."""
    for path in (path for path in project.rglob("*") if path.is_file()):
        text = path.read_text(encoding="utf-8")
        found = [other for other in OTHERS if other in f"{path.relative_to(project)}{text}".lower()]
        assert not found, path


def test_answers_are_in_each_platforms_file(project: Path) -> None:
    """Containers, memory and domain are as answered; each file can be parsed."""
    fly = tomllib.loads((project / "fly.toml").read_text(encoding="utf-8"))
    assert fly["http_service"]["min_machines_running"] == 3
    assert fly["vm"] == [{"size": "shared-cpu-1x", "memory": "1024mb"}]
    yaml = YAML(typ="safe", pure=True)
    (service,) = yaml.load(project / "render.yaml")["services"]
    assert (service["plan"], service["numInstances"]) == ("standard", 3)
    assert service["domains"] == ["notes.example.com"]
    job, run = yaml.load_all((project / "deploy/cloud/cloud-run.yaml").read_text(encoding="utf-8"))
    (container,) = run["spec"]["template"]["spec"]["containers"]
    (step,) = job["spec"]["template"]["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "1024Mi"
    assert (step["image"], step["env"]) == (container["image"], container["env"])
    project_file = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert project_file["tool"]["fastapi"] == {"entrypoint": "notes_api.main:app"}


def test_no_secret_is_in_the_files(project: Path) -> None:
    """They are asked for, or come from the platform's own store."""
    values = (project / ".env").read_text(encoding="utf-8").splitlines()
    token = next(line.partition("=")[2] for line in values if line.startswith("API_TOKEN="))
    for name in FILES:
        text = (project / name).read_text(encoding="utf-8")
        assert token not in text
        assert "change-me@" not in text
