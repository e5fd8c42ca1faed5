"""A project that Compose runs with podman in the place of Docker; only with ``--containers``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import container_engine
import podman_engine
import pytest
from harness import bake, run_deploycheck
from test_containers import ELSEWHERE

from pytest_deploycheck.sandbox.engine import Engine

# Podman starts a container that has ended at once again, and again: no pause grows, and it never gives up.
MISSING_IN_PODMAN = {"RST006"}


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
def test_the_unbroken_project_lacks_what_podman_lacks(engine: Engine, tmp_path: Path) -> None:
    """All checks pass but one; nothing is left in podman."""
    project = bake(tmp_path, process_manager="compose")
    container_engine.use_images(project)
    podman_engine.fit_limits(project)
    verdict = run_deploycheck(project)
    assert verdict.caught == MISSING_IN_PODMAN, verdict.explain()
    assert not verdict.ids("blocked"), verdict.explain()
    assert verdict.ids("not_verified") | verdict.ids("not_applicable") == ELSEWHERE, verdict.explain()
    assert not engine.containers("")
