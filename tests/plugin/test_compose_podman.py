"""A project that Compose runs with podman in the place of Docker; only with ``--containers``."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import container_engine
import podman_engine
import pytest
from harness import bake, run_deploycheck

from pytest_deploycheck.sandbox.engine import Engine

# What needs podman to start, to ask for health, to start again, and to limit.
SEEN = ("BOOT002", "RST001", "RST002", "RST003", "REP001", "MEM002")


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Engine]:
    """Podman's service."""
    if not pytestconfig.option.containers:
        pytest.skip("runs with --containers")
    if lack := podman_engine.missing("docker", "docker-compose"):
        pytest.skip(lack)
    with podman_engine.service(tmp_path_factory.mktemp("podman")) as found:
        yield found


@pytest.mark.slow
def test_the_unbroken_project_starts_serves_and_comes_back(engine: Engine, tmp_path: Path) -> None:
    """What podman does as Docker does is green, and nothing is left in podman."""
    project = bake(tmp_path, process_manager="compose")
    container_engine.use_images(project)
    podman_engine.fit_limits(project)
    verdict = run_deploycheck(project, f"--deploycheck-select={','.join(SEEN)}")
    assert verdict.ids("passed") == set(SEEN), verdict.explain()
    listed = subprocess.run(["docker", "ps", "--all", "--quiet"], check=True, capture_output=True)
    assert not listed.stdout, engine
