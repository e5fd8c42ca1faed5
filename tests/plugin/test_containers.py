"""Projects that Compose runs, on a real engine; only with ``--containers``, for it takes minutes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import container_engine
import pytest
from harness import Sabotage, Verdict, bake, copy_of, run_deploycheck, sabotage

from pytest_deploycheck.sandbox.engine import Engine

FILE = "compose.yaml"
ALWAYS = "    # Also after a clean exit, and when the machine starts (RST002 RST003 BOOT001).\n    restart: always\n"
RECORDS = [
    sabotage("no restart", FILE, ALWAYS, '    restart: "no"\n', "RST002", "RST003"),
    sabotage("restart after a failure only", FILE, ALWAYS, "    restart: on-failure\n", "RST003"),
]


@pytest.fixture(scope="module")
def engine(pytestconfig: pytest.Config) -> Iterator[Engine]:
    """An engine of its own, with images that stand for those of a registry."""
    if not pytestconfig.option.containers:
        pytest.skip("runs with --containers")
    if lack := container_engine.missing():
        pytest.skip(lack)
    with container_engine.engine() as found:
        yield found


@pytest.fixture(scope="module")
def project(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A generated project whose images can be built without a registry."""
    made = bake(tmp_path_factory.mktemp("baked"), process_manager="compose")
    container_engine.use_images(made)
    assert not engine.containers(made.name)
    return made


def run(project: Path, record: Sabotage, target: Path) -> Verdict:
    """Break a copy, and run the checks that must catch it, and two that must not."""
    copy = copy_of(project, target)
    record.apply(copy)
    selected = ",".join(sorted({"BOOT002", "REP001", *record.caught_by}))
    return run_deploycheck(copy, f"--deploycheck-select={selected}")


@pytest.mark.slow
def test_unbroken_containers_serve(project: Path, tmp_path: Path) -> None:
    """The image is built, and containers serve, with as many workers as promised; nothing is left of them."""
    verdict = run(project, Sabotage(id="none", changes=(), caught_by=frozenset()), tmp_path / "notes_api")
    assert verdict.ids("passed") == {"BOOT002", "REP001"}, verdict.explain()


@pytest.mark.slow
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.id)
def test_broken_containers_are_caught_by_exactly(record: Sabotage, project: Path, tmp_path: Path) -> None:
    """A broken Compose file makes exactly the named checks fail."""
    verdict = run(project, record, tmp_path / "notes_api")
    assert verdict.caught == record.caught_by, verdict.explain()
