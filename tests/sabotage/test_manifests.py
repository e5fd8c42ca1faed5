"""Manifests: each broken one is caught by exactly the named checks, and other right ones by none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import kubernetes
import pytest
from harness import Sabotage, run_deploycheck

from pytest_deploycheck.check import all_checks
from pytest_deploycheck.outcome import Evidence, Note, NotRun, Status
from pytest_deploycheck.reader import load
from pytest_deploycheck.stacks.kubernetes import MODULES, PROMISES, declared
from pytest_deploycheck.stacks.kubernetes.nobody import NOT_APPLICABLE, NOT_VERIFIED
from pytest_deploycheck.stacks.protocol import StackError

needs_kubectl = pytest.mark.skipif(
    not shutil.which("kubectl"), reason="install kubectl: https://kubernetes.io/docs/tasks/tools"
)


@pytest.fixture
def project(baked: Callable[..., Path], tmp_path: Path) -> Path:
    """Copy the files that are read of a project on Kubernetes."""
    original = baked(process_manager="kubernetes", database="postgresql")
    target = tmp_path / "notes_api"
    shutil.copytree(original / "deploy/kubernetes", target / "deploy/kubernetes")
    for name in ("pyproject.toml", ".env"):
        shutil.copy(original / name, target / name)
    return target


def verdicts(project: Path) -> dict[str, tuple[Status, str]]:
    """Ask for all answers, as the checks do."""
    found = declared(load(project))
    said = {}
    for record in all_checks():
        try:
            found.answers[record.id](Note())
        except NotRun as reason:
            said[record.id] = reason.status, str(reason)
        except (AssertionError, StackError) as broken:
            said[record.id] = Status.FAILED, str(broken).split("\nassert ")[0]  # as pytest adds it
        else:
            said[record.id] = Status.PASSED, ""
    return said


@needs_kubectl
@pytest.mark.parametrize("record", kubernetes.SABOTAGES, ids=lambda record: record.id)
def test_sabotage_is_caught_by_exactly(record: Sabotage, project: Path) -> None:
    """A broken manifest makes exactly the named checks fail, in one line, and a right variation none."""
    record.apply(project)
    said = verdicts(project)
    failed = {check_id: text for check_id, (status, text) in said.items() if status is Status.FAILED}
    assert failed.keys() == record.caught_by, failed
    assert all(text and "\n" not in text for text in failed.values()), failed


@needs_kubectl
@pytest.mark.slow
def test_unbroken_manifests_are_green(baked: Callable[..., Path], broken: Callable[[Sabotage], Path]) -> None:
    """The project as generated passes; what is read is declared and nothing observed; the rest says why not."""
    answers = (("process_manager", "kubernetes"), ("database", "postgresql"))
    verdict = run_deploycheck(broken(Sabotage(id="none", changes=(), caught_by=frozenset(), answers=answers)))
    assert verdict.exit_status == 0, verdict.explain()
    assert verdict.ids("passed") == PROMISES.keys() - {"TLS002", "BOOT008"}, verdict.explain()
    assert verdict.ids("not_verified") == NOT_VERIFIED.keys() | {"TLS002", "BOOT008"}
    assert verdict.ids("not_applicable") == NOT_APPLICABLE.keys()
    assert "passed (declared)" in verdict.output


def test_every_check_has_one_answer() -> None:
    """No ID is forgotten, and none has two answers."""
    answers = [
        *(promise.check_id for module in MODULES for promise in module.PROMISES),
        *NOT_VERIFIED,
        *NOT_APPLICABLE,
    ]
    assert sorted(answers) == sorted(record.id for record in all_checks())


def test_every_promise_can_be_broken() -> None:
    """For each promise that is read there is a manifest that breaks only it, but for two that never break alone."""
    alone = {min(record.caught_by) for record in kubernetes.SABOTAGES if len(record.caught_by) == 1}
    assert alone | {"PRE005", "RST011"} >= PROMISES.keys()


@needs_kubectl
def test_what_is_read_is_no_observation(project: Path) -> None:
    """An answer leaves it to the check to say so: the note of one that passes is declared."""
    from pytest_deploycheck.checks import restarts

    note = Note()
    module = declared(load(project)).instead_of(restarts)
    module.check_clean_exit_is_restarted(note)
    assert note.evidence is Evidence.DECLARED
    assert note.steps
