"""Platforms' files: each that breaks the contract is caught by exactly the named checks, a right one by none."""

from __future__ import annotations

import inspect
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import cloud
import pytest
from harness import Sabotage, VerdictOf, run_deploycheck

from pytest_deploycheck.check import all_checks, check, check_of
from pytest_deploycheck.outcome import Evidence, Note, NotRun
from pytest_deploycheck.reader import load
from pytest_deploycheck.stacks.cloud import declared
from pytest_deploycheck.stacks.cloud.answers import KEEPERS
from pytest_deploycheck.stacks.cloud.promises import PROMISES
from pytest_deploycheck.stacks.declared import Besides, Declared
from pytest_deploycheck.stacks.keepers import Keeper
from pytest_deploycheck.stacks.protocol import StackError


@pytest.fixture
def project(baked: Callable[..., Path], tmp_path: Path) -> Path:
    """Copy the files that are read of a project on a platform."""
    original = baked(**dict(cloud.ANSWERS))
    target = tmp_path / "notes_api"
    shutil.copytree(original / "deploy", target / "deploy")
    for name in ("pyproject.toml", ".env", "fly.toml", "render.yaml"):
        shutil.copy(original / name, target / name)
    return target


def failures(project: Path) -> dict[str, str]:
    """Read all that the checks read; return what failed."""
    found = declared(load(project))
    said = {}
    reading = {**found.answers, **{check_id: one.answer for check_id, one in found.besides.items()}}
    for check_id, answer in reading.items():
        try:
            answer(Note())
        except NotRun:
            pass
        except (AssertionError, StackError) as broken:
            said[check_id] = str(broken).split("\nassert ")[0]  # as pytest adds it
    return said


@pytest.mark.parametrize("record", cloud.READ, ids=lambda record: record.id)
def test_what_a_platform_does_not_grant_is_caught_by_exactly(record: Sabotage, project: Path) -> None:
    """A broken file makes exactly the named checks fail, in one line that names it, and a right variation none."""
    record.apply(project)
    said = failures(project)
    assert said.keys() == record.caught_by, said
    files = (cloud.CONTRACT, cloud.RUN, cloud.FLY, cloud.RENDER)
    assert all("\n" not in text and text.startswith(files) for text in said.values()), said


def test_every_promise_can_be_broken() -> None:
    """For each promise that is read there is a file that breaks only it, but for one that never breaks alone."""
    alone = {min(record.caught_by) for record in cloud.READ if len(record.caught_by) == 1}
    assert alone | {"PRE004"} >= PROMISES.keys()


def test_every_check_has_a_keeper() -> None:
    """No reason stands for a check that is made, and what is read only has something that is read."""
    known = {record.id for record in all_checks()}
    read = {check_id for check_id in known if KEEPERS.of(check_id) in (Keeper.FILES, Keeper.BOTH)}
    assert read == KEEPERS.read_only | KEEPERS.seen_in_part
    assert known >= KEEPERS.not_verified.keys() | KEEPERS.not_applicable.keys()
    # No file has a word for what an edge does with slow handshakes and headers.
    assert read - {"TLS014"} <= PROMISES.keys()


@pytest.mark.parametrize(
    "line",
    [
        "stop_grace = 10",
        'stop_grace_s = "10"',
        "stop_grace_s = -1",
        'previous_steps = "a\'b"',
        'port_variable = "A=B"',
    ],
)
def test_a_wrong_key_of_the_contract_is_named(line: str, project: Path) -> None:
    """One line, with the file and the key."""
    file, key = project / cloud.CONTRACT, line.partition(" ")[0]
    text = re.sub(rf"^{key}\w* = .*$", line, file.read_text(encoding="utf-8"), count=1, flags=re.MULTILINE)
    file.write_text(text, encoding="utf-8")
    said = failures(project)
    assert said.keys() == {"BOOT002"}
    assert said["BOOT002"].startswith(f"{cloud.CONTRACT}: [container] {key} ")


@pytest.mark.parametrize("evidence", Evidence)
def test_what_is_read_beside_a_check(evidence: Evidence) -> None:
    """It is read first; then the check is made with its own fixtures; what it rests on is said."""
    order = []

    @check("RST003", "a promise", expect="", fix="")
    def check_something(stack: str) -> None:
        """Do something."""
        order.append(stack)

    module = ModuleType("checks")
    vars(module)["check_something"] = check_something
    besides = Besides(answer=lambda _: order.append("read"), evidence=evidence)
    beside = Declared(parts={}, read=[], answers={}, besides={"RST003": besides}).instead_of(module)
    made, note = vars(beside)["check_something"], Note()
    assert list(inspect.signature(made).parameters) == ["stack", "note"]
    made(stack="made", note=note)
    assert order == ["read", "made"]
    assert note.evidence is evidence
    record = check_of(made)
    assert record is not None
    assert record.act == "Do something."


@pytest.mark.slow
def test_unbroken_project_is_green_under_the_contract(
    broken: Callable[[Sabotage], Path], verdict_of: VerdictOf, pytestconfig: pytest.Config
) -> None:
    """The project as generated: nothing fails, and what only a platform shows is named as such."""
    if not pytestconfig.option.sabotage_all and not pytestconfig.option.sabotage_full:
        pytest.skip("runs with --sabotage-all")
    project = broken(Sabotage(id="none", changes=(), caught_by=frozenset(), answers=cloud.ANSWERS))
    verdict = verdict_of(
        lambda: run_deploycheck(project), lambda seen: not seen.caught and not seen.ids("blocked")
    )
    assert not verdict.caught, verdict.explain()
    assert verdict.ids("not_verified") == KEEPERS.not_verified.keys(), verdict.explain()
    assert verdict.ids("not_applicable") == {*KEEPERS.not_applicable, "MEM004"}, verdict.explain()
