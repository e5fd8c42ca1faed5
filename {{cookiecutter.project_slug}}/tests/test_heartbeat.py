"""A worker gives a sign of life."""

from pathlib import Path

import pytest
from conftest import PROJECT
from fastapi.testclient import TestClient

from {{ cookiecutter.project_slug }}.application import create_app
from {{ cookiecutter.project_slug }}.settings import Settings


def test_a_file_is_there_as_long_as_the_worker(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its name tells the guard which process it is."""
    folder = tmp_path / "workers"
    folder.mkdir()
    monkeypatch.setenv("HEARTBEAT_DIR", str(folder))
    monkeypatch.chdir(PROJECT)
    with TestClient(create_app(settings)):
        (file,) = folder.iterdir()
        assert Path("/proc", file.name.partition("-")[0]).exists()
    assert list(folder.iterdir()) == []
