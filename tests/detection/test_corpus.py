"""The projects of ``tests/corpus/``: what is detected in each, and what the checks say of them.

Beside each project is a TOML file: what must be detected, and the verdicts that a whole run must come to.
"""

from __future__ import annotations

import shutil
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from harness import run_deploycheck

from pytest_deploycheck.detection import detect
from pytest_deploycheck.reader import load

CORPUS = Path(__file__).parents[1] / "corpus"
PROJECTS = sorted(file.stem for file in CORPUS.glob("*.toml"))
# These are really run by default, with a few checks; the others, and all checks, with --corpus-all.
MEASURED = ("REP003", "RES002")  # how fast the machine is decides these
QUICK = {
    "starlette": "BOOT002,RST005,RST008,TLS001",
    "supervised": "BOOT002,RST005,RST007,TLS001",
    "django": "BOOT002,RST005,REP001,PRE001",
}


def expected(name: str) -> dict[str, Any]:
    """Return what the file beside a project says."""
    return tomllib.loads((CORPUS / f"{name}.toml").read_text(encoding="utf-8"))


def test_each_project_has_its_expectations() -> None:
    """No project is without a file, no file without a project, and there are many shapes."""
    folders = sorted(path.name for path in CORPUS.iterdir() if path.is_dir())
    assert folders == PROJECTS
    assert len(folders) >= 8


@pytest.mark.parametrize("name", PROJECTS)
def test_detected(name: str) -> None:
    """App, command, proxies and each setting are found at the right line."""
    wanted, found = expected(name), detect(CORPUS / name)
    assert found.app
    assert found.command
    seen = {
        "app": found.app.target,
        "framework": found.app.framework,
        "command": found.command.line,
        "at": found.command.found.where,
        "folder": found.command.folder,
        "has_runner": found.command.runner is not None,
        "proxies": [proxy.where for proxy in found.proxies],
        "lacks": sorted(need.name for need in load(CORPUS / name).lacks),
    }
    assert seen == wanted["detected"]
    settings = {key: [one.value, one.where] for key, one in found.settings.items()}
    assert settings == wanted["settings"]


@pytest.mark.parametrize("name", PROJECTS)
def test_lines_hold_what_was_found_there(name: str) -> None:
    """Each line that is named exists."""
    found = detect(CORPUS / name)
    findings = [*found.settings.values(), *found.proxies, *(command.found for command in found.commands)]
    for finding in findings:
        lines = (CORPUS / name / finding.file).read_text(encoding="utf-8").splitlines()
        assert 1 <= finding.line <= max(1, len(lines)), finding


@pytest.mark.corpus
@pytest.mark.slow
@pytest.mark.parametrize("name", PROJECTS)
def test_verdicts(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """A run comes to the verdicts that were found by hand; what a project lacks is not verified, and no error."""
    runs_all = request.config.getoption("--corpus-all")
    if not runs_all and name not in QUICK:
        pytest.skip("only with --corpus-all")
    project = tmp_path / name
    shutil.copytree(CORPUS / name, project)
    (project / ".venv").symlink_to(sys.prefix)
    select = () if runs_all else (f"--deploycheck-select={QUICK[name]}",)
    verdict = run_deploycheck(project, *select)
    wanted = {check_id: status for status, ids in expected(name)["verdicts"].items() for check_id in ids}
    seen = {check_id: status for check_id, status in verdict.statuses.items() if check_id not in MEASURED}
    assert seen == {check_id: wanted.get(check_id) for check_id in seen}, (
        f"{verdict.explain()}\n{verdict.output}"
    )
    assert len(seen) >= 4
