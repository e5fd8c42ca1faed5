"""Each check can fail: a broken project makes exactly the named checks fail, and the unbroken one none."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Container, Iterable
from pathlib import Path

import cloud
import enclosure
import haproxy
import https
import kubernetes
import memory
import nginx
import postgresql
import previous_steps
import pytest
import replication
import resources
import restarts
import startup
import systemd
import traefik
import variations
from harness import PACKAGE_OF, PROGRAMS_OF, Sabotage, Verdict, VerdictOf, run_deploycheck

from pytest_deploycheck.check import Concept, all_checks
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH
from pytest_deploycheck.stacks.contained import container

MODULES = (
    https,
    startup,
    restarts,
    replication,
    memory,
    previous_steps,
    resources,
    variations,
    postgresql,
    nginx,
    traefik,
    haproxy,
    systemd,
    cloud,
    kubernetes,
)
RECORDS = [record for module in MODULES for record in module.SABOTAGES]
HOME = {record.id: module.__name__ for module in MODULES for record in module.SABOTAGES}
TAKE_SECONDS = {"MEM005", "RES001", "RES005", "RES007"}


def require_programs(answers: Iterable[tuple[str, str]], caught_by: Container[str] = ()) -> None:
    """Skip a project whose stack, or a check of it, needs a program that is not here; CI has all of them."""
    wanted = [program for _, answer in answers for program in PROGRAMS_OF.get(answer, ())]
    for program in (*wanted, *(("pebble",) if "TLS010" in caught_by else ())):
        if not shutil.which(program, path=SYSTEM_PATH):
            pytest.skip(f"apt-get install {PACKAGE_OF.get(program, program)}")
    if "systemd-nspawn" in wanted and os.geteuid() != 0:
        pytest.skip("only root can boot systemd")
    if "unshare" in wanted and (missing := container.needs()):
        pytest.skip(f"no namespaces can be made: it needs {missing}")


def proofs() -> list[Sabotage]:
    """Return for each check the first record that only this check catches."""
    alone = {min(record.caught_by): record for record in reversed(RECORDS) if len(record.caught_by) == 1}
    return list(alone.values())


def daily() -> list[Sabotage]:
    """Return a proof of each check, all variations of the default answers, and of each other part the first of both."""
    first = {(HOME[record.id], bool(record.caught_by)): record for record in reversed(RECORDS)}
    chosen = [*proofs(), *variations.SABOTAGES, *first.values()]
    return [record for record in RECORDS if record in chosen]


def quick(concept: str) -> set[str]:
    """Return the IDs of a concept's checks that only ask the running stack, in a moment."""
    return {
        check.id
        for check in all_checks()
        if check.concept.slug == concept
        and set(inspect.signature(check.function).parameters) <= {"stack", "note"}
    } - TAKE_SECONDS


def selection(record: Sabotage, *, everything: bool) -> list[str]:
    """Return which checks a record's run is limited to: those that it can touch, and that cost little.

    On a broken project these are the checks that catch it, and the quick ones of the same concepts; on a right
    variation all of the concepts that it touches. ``--sabotage-full``, which runs each night, asks for all checks.
    """
    if everything:
        return []
    concepts = set(record.touches or (HOME[record.id],))
    chosen = concepts
    if record.caught_by:
        concepts |= {Concept.of(found).slug for found in record.caught_by}
        chosen = record.caught_by.union(*(quick(concept) for concept in concepts))
    return [f"--deploycheck-select={','.join(sorted(chosen))}"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "database"), [("gunicorn", "sqlite"), ("uvicorn", "sqlite"), ("gunicorn", "postgresql")]
)
def test_unbroken_project_passes_everything(
    server: str, database: str, broken: Callable[[Sabotage], Path], verdict_of: VerdictOf, tmp_path: Path
) -> None:
    """The generated project is green with each server, and with each database.

    Where that can be seen (enclosure.py), no process asks another machine or listens elsewhere than on loopback.
    """
    seen = tmp_path / "seen.json"
    started_by: list[str] = []
    with contextlib.suppress(OSError):  # tests/plugin/test_security.py is skipped then, and says why
        started_by = enclosure.started_by(seen)
    project = broken(unbroken(server, ("database", database)))
    is_right = all_passed(elsewhere={"REP007"} if database == "sqlite" else set())
    verdict = verdict_of(lambda: run_deploycheck(project, started_by=started_by), is_right)
    assert is_right(verdict), verdict.explain()
    if started_by:
        assert json.loads(seen.read_text(encoding="utf-8")) == enclosure.NOTHING


@pytest.mark.slow
@pytest.mark.parametrize(
    ("server", "proxy", "database"),
    [
        ("gunicorn", "caddy", "sqlite"),
        ("uvicorn", "caddy", "sqlite"),
        ("gunicorn", "caddy", "postgresql"),
        ("gunicorn", "nginx", "sqlite"),
        ("uvicorn", "haproxy", "sqlite"),
        ("uvicorn", "traefik", "sqlite"),
    ],
)
def test_unbroken_units_pass_everything(
    server: str,
    proxy: str,
    database: str,
    broken: Callable[[Sabotage], Path],
    verdict_of: VerdictOf,
    pytestconfig: pytest.Config,
) -> None:
    """So is it when systemd boots it. That takes minutes, so by default a record runs some of the checks."""
    if not pytestconfig.option.sabotage_all and not pytestconfig.option.sabotage_full:
        pytest.skip("runs with --sabotage-all")
    answers = (("process_manager", "systemd"), ("https_proxy", proxy), ("database", database))
    record = unbroken(server, *answers)
    require_programs(answers)
    elsewhere = {"RES007"} | ({"REP007"} if database == "sqlite" else set())
    project, is_right = broken(record), all_passed(elsewhere=elsewhere)
    verdict = verdict_of(lambda: run_deploycheck(project), is_right)
    assert is_right(verdict), verdict.explain()


def unbroken(server: str, *answers: tuple[str, str]) -> Sabotage:
    """Return a record that changes nothing."""
    return Sabotage(id="none", changes=(), caught_by=frozenset(), server=server, answers=answers)


def all_passed(*, elsewhere: set[str]) -> Callable[[Verdict], bool]:
    """Return what tells whether each check passed, but for those that need a tool, or something that is elsewhere."""
    unproven = set() if shutil.which("pebble", path=SYSTEM_PATH) else {"TLS010"}
    wanted = {record.id for record in all_checks()} - unproven - elsewhere

    def is_right(verdict: Verdict) -> bool:
        apart = (verdict.ids("not_verified"), verdict.ids("not_applicable"))
        return apart == (unproven, elsewhere) and verdict.ids("passed") == wanted and verdict.exit_status == 0

    return is_right


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run those of each day, or all records, as the options say."""
    if "record" in metafunc.fixturenames:
        options = metafunc.config.option
        chosen = RECORDS if options.sabotage_all or options.sabotage_full else daily()
        metafunc.parametrize("record", chosen, ids=lambda record: record.id)


@pytest.mark.slow
@pytest.mark.sabotage
def test_sabotage_is_caught_by_exactly(
    record: Sabotage,
    broken: Callable[[Sabotage], Path],
    pytestconfig: pytest.Config,
    verdict_of: VerdictOf,
) -> None:
    """A broken project makes exactly the named checks fail, and a right variation none."""
    require_programs(record.answers, record.caught_by)
    project = broken(record)
    arguments = selection(record, everything=pytestconfig.option.sabotage_full)
    verdict = verdict_of(
        lambda: run_deploycheck(project, *arguments, cpus=record.cpus),
        lambda verdict: is_exact(verdict, record),
    )
    assert is_exact(verdict, record), verdict.explain()


def is_exact(verdict: Verdict, record: Sabotage) -> bool:
    """Tell whether exactly the named checks failed, or warned, and the exit status says so."""
    should = {check.id for check in all_checks() if check.should}
    return (
        verdict.ids("failed") == record.caught_by - should
        and verdict.ids("warned") == record.caught_by & should
        and verdict.exit_status == (1 if record.caught_by - should else 0)
    )


def test_each_check_has_a_sabotage_of_its_own() -> None:
    """For each check there is a change that makes only this check fail."""
    alone = {min(record.caught_by) for record in proofs()}
    assert alone == {record.id for record in all_checks()}


def test_names_are_unique() -> None:
    """Two records with one name would hide each other in reports."""
    names = [record.id for record in RECORDS]
    assert sorted(names) == sorted(set(names))


def test_there_are_enough_of_each_kind() -> None:
    """Many ways to break each concept, and many right ways that must not be called broken."""
    caught = Counter(Concept.of(found) for record in RECORDS for found in record.caught_by)
    assert len(RECORDS) >= 100
    assert min(caught[concept] for concept in Concept) >= 3
    assert sum(not record.caught_by for record in RECORDS) >= 30


def test_each_record_names_what_it_touches() -> None:
    """A typing error would run no check at all, or the wrong ones."""
    known = {concept.slug for concept in Concept} | {check.id for check in all_checks()}
    for record in RECORDS:
        assert set(record.touches or (HOME[record.id],)) <= known, record.id


def test_each_record_fits_the_template(baked: Callable[..., Path], tmp_path: Path) -> None:
    """A change of the template that a record no longer fits is seen here, also if the record runs only at night."""
    for number, record in enumerate(RECORDS):
        project = baked(app_server=record.server, **dict(record.answers))
        record.apply(touched_by(record, project, tmp_path / str(number)))


def touched_by(record: Sabotage, project: Path, target: Path) -> Path:
    """Copy the folders of a project, and of its files those that the record touches: hundreds of copies take long."""
    shutil.copytree(project, target, ignore=only_folders)
    for name in {*(old for old, _ in record.moves), *(change.file for change in record.changes)}:
        if (project / name).is_dir():
            shutil.copytree(project / name, target / name, dirs_exist_ok=True)
        elif (project / name).exists():
            shutil.copy(project / name, target / name)
    return target


def only_folders(folder: str, names: list[str]) -> list[str]:
    """Return what is not copied: files, and the folders that are no part of a project."""
    return [name for name in names if name in {".git", ".venv", "var"} or not Path(folder, name).is_dir()]
