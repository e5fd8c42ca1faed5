"""Checks, proxies and stacks of a project's own: the examples of the docs, run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import REPOSITORY, Change, Sabotage, pytest_in, run_deploycheck

from pytest_deploycheck import own_checks
from pytest_deploycheck.config import ConfigError

BLOCK = re.compile(r'^```python title="(.+?)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)
RIGHT = '''
from pytest_deploycheck.api import Concept, check

@check("SHOP001", "it sells", concept=Concept.HTTPS, expect="money", fix="sell")
def check_it_sells():
    """Buy something."""
'''
# A check of a package that projects install; it fails.
PACKAGE = {
    "acme_deploychecks.py": RIGHT.replace("SHOP", "ACME") + "    money = 0\n    assert money > 1\n",
    "acme-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme\nVersion: 1\n",
    "acme-1.dist-info/entry_points.txt": "[deploycheck.checks]\nours = acme_deploychecks\n",
}


def write(folder: Path, files: dict[str, str]) -> None:
    """Write files, and the folders that they need."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


def examples() -> dict[str, str]:
    """Return the files that the docs show; one that they show twice goes on."""
    files: dict[str, str] = {}
    for name, text in BLOCK.findall((REPOSITORY / "docs/extending.md").read_text(encoding="utf-8")):
        files[name] = files.get(name, "") + text
    return files


@pytest.fixture
def project(broken: Callable[[Sabotage], Path]) -> Path:
    """Return a generated project with all examples, and with a package that brings a check."""
    made = broken(Sabotage(id="none", changes=(), caught_by=frozenset()))
    write(made, examples())
    run_caddy = "caddy run --config deploy/Caddyfile --adapter caddyfile"
    Change(file="deploy/supervisord.conf", old=f"command={run_caddy}", new="command=deploy/edge").apply(made)
    write(made, {"deploy/edge": f"#!/bin/sh\nexec {run_caddy}\n"})
    (site_packages,) = (made / ".venv/lib").glob("python*/site-packages")
    # As pip leaves an editable install, by which the plugin knows what to run in a copy (PEP 610).
    url = {"url": made.as_uri(), "dir_info": {"editable": True}}
    installed = {
        "notes_api-0.1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: notes-api\nVersion: 0.1.0\n"
    }
    installed["notes_api-0.1.0.dist-info/direct_url.json"] = json.dumps(url)
    write(site_packages, PACKAGE | installed)
    return made


@pytest.mark.slow
def test_own_checks_run_on_an_own_stack_behind_an_own_proxy(project: Path) -> None:
    """They pass and fail like others, and stand in the reports under the concept that they name."""
    verdict = run_deploycheck(project, "--deploycheck-select=NOTES,ACME,RST005")
    assert verdict.statuses == {
        "NOTES001": "passed",
        "NOTES002": "passed",
        "ACME001": "failed",
        "RST005": "passed",
    }, verdict.explain()
    assert "assert 0 > 1" in verdict.details["ACME001"]
    assert "learn" not in verdict.details["ACME001"]
    assert "ACME001  failed          it sells" in verdict.output
    report = json.loads((project / "deploycheck-report/report.json").read_text(encoding="utf-8"))
    concepts = {check["id"]: check["concept"] for check in report["checks"]}
    assert concepts == {
        "NOTES001": "replication",
        "NOTES002": "restarts",
        "ACME001": "https",
        "RST005": "restarts",
    }
    assert (report["stack"]["manager"], report["stack"]["proxy"]) == ("basement", "edge")


@pytest.mark.slow
def test_a_project_sabotages_itself(project: Path) -> None:
    """The example of the docs is caught by its check alone, and the project stays as it was."""
    before = (project / "src/notes_api/notes.py").read_text(encoding="utf-8")
    command = [
        *pytest_in(project),
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        "tests/test_sabotage.py",
    ]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr
    assert (project / "src/notes_api/notes.py").read_text(encoding="utf-8") == before


def test_a_node_id_of_an_own_check_can_be_given_back(tmp_path: Path) -> None:
    """It is collected alone, in a project that has never seen the template."""
    pyproject = '[project]\nname = "x"\nversion = "1"\n[tool.deploycheck]\ndomain = "example.com"\n'
    write(tmp_path, {"pyproject.toml": pyproject, "supervisord.conf": "[supervisord]\n"})
    write(tmp_path, {"deploychecks/restarts.py": RIGHT})
    node_id = "deploycheck::deploychecks.restarts::check_it_sells"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--collect-only", node_id]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"{node_id}\n\n1 test collected in "), done.stdout


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of own checks in a project; what is imported from it is forgotten."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] == own_checks.FOLDER]:
        monkeypatch.delitem(sys.modules, name)
    made = tmp_path / own_checks.FOLDER
    made.mkdir()
    return made


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "import no_such_module",
            "shop cannot be imported: ModuleNotFoundError: No module named 'no_such_module'",
        ),
        ("def :", "shop cannot be imported: SyntaxError"),
        ("raise SystemExit", "shop cannot be imported: SystemExit"),
        ("def check_it_sells(): ...", "check_it_sells is no check: mark it with @check"),
        (RIGHT.replace("check_it", "it"), "it_sells is marked as SHOP001: call it check_it_sells"),
        (RIGHT.replace("SHOP", "TLS"), "TLS001: IDs in TLS are deploycheck's own"),
        (RIGHT.replace("SHOP001", "shop1"), "shop1 is no ID: write capitals and three digits"),
        (RIGHT.replace("concept=Concept.HTTPS, ", ""), "SHOP001 has no concept: add concept="),
        (RIGHT.replace('"""Buy something."""', "pass"), "check_it_sells has no docstring"),
    ],
)
def test_what_cannot_be_a_check_is_named(folder: Path, text: str, said: str) -> None:
    """One line says what to change."""
    write(folder, {"shop.py": text})
    with pytest.raises(ConfigError, match=re.escape(said)):
        own_checks.load(folder.parent)


def test_an_id_is_given_once(folder: Path) -> None:
    """Two checks with one ID would hide each other in reports."""
    write(folder, {"one.py": RIGHT, "two.py": RIGHT})
    with pytest.raises(ConfigError, match=r"SHOP001 is in deploychecks.one and in deploychecks.two"):
        own_checks.load(folder.parent)


def test_a_right_module_is_loaded(folder: Path) -> None:
    """What begins with _ is no module of checks."""
    write(folder, {"shop.py": RIGHT, "_help.py": "raise OSError"})
    (module,) = own_checks.load(folder.parent)
    assert [record.id for record in module.checks] == ["SHOP001"]
