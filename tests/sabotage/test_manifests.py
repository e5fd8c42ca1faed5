"""Manifests: each broken one is caught by exactly the named checks, and other right ones by none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import kubernetes
import pytest
from harness import Sabotage, VerdictOf, run_deploycheck

from pytest_deploycheck.check import all_checks
from pytest_deploycheck.outcome import Evidence, Note, NotRun, Status
from pytest_deploycheck.reader import load
from pytest_deploycheck.stacks.keepers import Keeper
from pytest_deploycheck.stacks.kubernetes import PROMISES, declared
from pytest_deploycheck.stacks.kubernetes.answers import KEEPERS
from pytest_deploycheck.stacks.protocol import StackError

needs_kubectl = pytest.mark.skipif(
    not shutil.which("kubectl"), reason="install kubectl: https://kubernetes.io/docs/tasks/tools"
)


@pytest.fixture
def project(baked: Callable[..., Path], tmp_path: Path) -> Path:
    """Copy the files that are read of a project on Kubernetes."""
    original = baked(**dict(kubernetes.ANSWERS))
    target = tmp_path / "notes_api"
    shutil.copytree(original / "deploy", target / "deploy")
    for name in ("pyproject.toml", ".env", "Dockerfile"):
        shutil.copy(original / name, target / name)
    return target


def verdicts(project: Path) -> dict[str, tuple[Status, str]]:
    """Read all that the checks read, instead of what is seen or besides."""
    found = declared(load(project))
    reading = {**found.answers, **{check_id: one.answer for check_id, one in found.besides.items()}}
    said = {}
    for record in all_checks():
        try:
            reading[record.id](Note())
        except NotRun as reason:
            said[record.id] = reason.status, str(reason)
        except (AssertionError, StackError) as broken:
            said[record.id] = Status.FAILED, str(broken).split("\nassert ")[0]  # as pytest adds it
        else:
            said[record.id] = Status.PASSED, ""
    return said


@needs_kubectl
@pytest.mark.parametrize("record", kubernetes.READ, ids=lambda record: record.id)
def test_sabotage_is_caught_by_exactly(record: Sabotage, project: Path) -> None:
    """A broken manifest makes exactly the named checks fail, in one line, and a right variation none."""
    record.apply(project)
    said = verdicts(project)
    failed = {check_id: text for check_id, (status, text) in said.items() if status is Status.FAILED}
    assert failed.keys() == record.caught_by, failed
    assert all(text and "\n" not in text for text in failed.values()), failed


@needs_kubectl
@pytest.mark.slow
def test_without_an_image_manifests_are_read_only(
    broken: Callable[[Sabotage], Path],
) -> None:
    """A project whose image is made elsewhere passes on what is read, which is declared; the rest says why not."""
    answers = kubernetes.ANSWERS
    project = broken(Sabotage(id="none", changes=(), caught_by=frozenset(), answers=answers))
    (project / "Dockerfile").unlink()
    verdict = run_deploycheck(project)
    assert verdict.exit_status == 0, verdict.explain()
    enough = {check_id for check_id, promise in PROMISES.items() if promise.alone}
    assert verdict.ids("passed") == enough - {"TLS002", "BOOT008"}, verdict.explain()
    apart = {record.id for record in all_checks()} - enough - KEEPERS.not_applicable.keys()
    assert verdict.ids("not_verified") == apart | {"TLS002", "BOOT008"}
    assert verdict.ids("not_applicable") == KEEPERS.not_applicable.keys()
    assert "passed (declared)" in verdict.output


@needs_kubectl
@pytest.mark.slow
def test_unbroken_project_is_green_as_a_pod(
    broken: Callable[[Sabotage], Path], verdict_of: VerdictOf, pytestconfig: pytest.Config
) -> None:
    """The project as generated: nothing fails, the pod's own promises are observed, and the rest is named."""
    if not pytestconfig.option.sabotage_all and not pytestconfig.option.sabotage_full:
        pytest.skip("runs with --sabotage-all")
    project = broken(Sabotage(id="none", changes=(), caught_by=frozenset(), answers=kubernetes.ANSWERS))
    verdict = verdict_of(
        lambda: run_deploycheck(project), lambda seen: not seen.caught and not seen.ids("blocked")
    )
    assert not verdict.caught, verdict.explain()
    assert verdict.ids("not_verified") == KEEPERS.not_verified.keys() | {"TLS002"}, verdict.explain()
    assert verdict.ids("not_applicable") == {*KEEPERS.not_applicable, "MEM004"}, verdict.explain()


def test_every_check_has_one_answer() -> None:
    """Each is somebody's, no reason stands for a check that is made, and what is read only has something to read."""
    known = {record.id for record in all_checks()}
    read = {check_id for check_id in known if KEEPERS.of(check_id) in (Keeper.FILES, Keeper.BOTH)}
    assert read == KEEPERS.read_only | KEEPERS.seen_in_part
    assert read <= PROMISES.keys() <= known
    assert known >= KEEPERS.not_verified.keys() | KEEPERS.not_applicable.keys()


def test_every_promise_can_be_broken() -> None:
    """For each promise that files can break there is one that breaks only it, but for two that never break alone."""
    alone = {min(record.caught_by) for record in kubernetes.READ if len(record.caught_by) == 1}
    breakable = {check_id for check_id, promise in PROMISES.items() if promise.alone}
    assert alone | {"PRE005", "RST011"} >= breakable


@needs_kubectl
def test_bodies_that_a_controller_may_hold_back_are_left_to_it(project: Path) -> None:
    """Where a filter of its own is in the way, what comes straight to the app says nothing of production."""
    bodies = {"TLS013", "TLS014"}
    assert {verdicts(project)[check_id][0] for check_id in bodies} == {Status.PASSED}
    file = project / kubernetes.GATEWAY
    filters = "      filters:\n        # Browsers"
    text = file.read_text(encoding="utf-8")
    assert filters in text
    reference = "{type: ExtensionRef, extensionRef: {group: traefik.io, kind: Middleware, name: buffering}}"
    with_its_own = filters.replace("filters:\n", f"filters:\n        - {reference}\n")
    file.write_text(text.replace(filters, with_its_own), encoding="utf-8")
    assert {verdicts(project)[check_id][0] for check_id in bodies} == {Status.NOT_VERIFIED}


@needs_kubectl
def test_what_is_read_is_no_observation(project: Path) -> None:
    """An answer leaves it to the check to say so: the note of one that passes is declared."""
    from pytest_deploycheck.checks import restarts

    note = Note()
    (project / "Dockerfile").unlink()
    module = declared(load(project)).instead_of(restarts)
    module.check_clean_exit_is_restarted(note)
    assert note.evidence is Evidence.DECLARED
    assert note.steps
