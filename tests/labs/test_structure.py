"""Each lab is complete, and its patches fit what the template generates."""

import ast
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import REPOSITORY, bake

from pytest_deploycheck.check import Concept, all_checks
from pytest_deploycheck.labs.lab import Lab, all_labs, read
from pytest_deploycheck.labs.project import find
from pytest_deploycheck.labs.repository import Repository

# Together they have each answer of each question, and a package whose name is not the template's.
PROJECTS = (
    {},
    {"https_proxy": "nginx", "app_server": "uvicorn", "database": "postgresql", "project_name": "Shop"},
    {"https_proxy": "haproxy", "database": "postgresql", "path_prefix": "/api", "workers": "auto"},
    {"https_proxy": "traefik", "app_server": "uvicorn"},
    {"process_manager": "systemd"},
)
LABS = all_labs()
IDS = {check.id for check in all_checks()}


def each_lab(function: Callable[..., None]) -> Callable[..., None]:
    """Run a test for each lab."""
    return pytest.mark.parametrize("lab", LABS, ids=lambda lab: lab.name)(function)


@pytest.fixture(scope="session")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return projects with different answers, each in a repository."""
    made = []
    for answers in PROJECTS:
        project = bake(tmp_path_factory.mktemp("labs"), **answers)
        commands = ("init -q -b main", "add -A", "-c user.name=x -c user.email=x@x commit -q -m Begin")
        for command in commands:
            subprocess.run(["git", *command.split()], cwd=project, check=True)
        made.append(project)
    return made


def added(patch: str) -> list[str]:
    """Return the lines that a patch adds."""
    return [line[1:].strip() for line in patch.splitlines() if re.match(r"\+(?!\+\+ )", line)]


def test_there_are_enough_labs() -> None:
    """Twenty at least, and two of each concept."""
    assert len(LABS) >= 20
    concepts = Counter(lab.concept for lab in LABS)
    assert all(concepts[concept] >= 2 for concept in Concept)


def test_each_folder_is_a_lab() -> None:
    """A folder that lacks its lab.toml would be lost without a word."""
    labs = REPOSITORY / "pytest_deploycheck/labs"
    folders = {patch.relative_to(labs).parts[0] for patch in labs.rglob("*.patch")}
    assert folders == {lab.name for lab in LABS}


def test_a_wrong_key_is_noticed(tmp_path: Path) -> None:
    """A typing error in lab.toml does not pass as a missing text."""
    text = (LABS[0].folder / "lab.toml").read_text(encoding="utf-8").replace("minutes =", "minuets =")
    (tmp_path / "lab.toml").write_text(text, encoding="utf-8")
    with pytest.raises(TypeError, match="minuets"):
        read(tmp_path)


@each_lab
def test_a_lab_is_complete(lab: Lab) -> None:
    """All texts are there, all IDs exist, and there is a false fix with its reason."""
    assert lab.red
    assert set(lab.checks) <= IDS
    assert len(lab.checks) == len(set(lab.checks))
    assert Concept.of(lab.red[0]) is lab.concept
    assert set(lab.says) == set(lab.checks)
    assert 5 <= lab.minutes <= 60
    assert len(lab.hints) == 4
    texts = [lab.title, *lab.hints, *lab.false_fixes.values(), *lab.says.values()]
    assert all(text.strip() for text in texts)
    assert len(lab.symptom) > 200
    assert len(lab.victory) > 200
    folders = [lab.folder / name for name in lab.variants] or [lab.folder]
    patches = [{file.stem for file in folder.glob("*.patch")} for folder in folders]
    assert all({"break", "fix"} < found for found in patches)
    assert set().union(*patches) == {"break", "fix", *(f"false_fix_{name}" for name in lab.false_fixes)}
    assert re.fullmatch(r"[a-z0-9-]+", lab.name)


@each_lab
def test_needs_are_answers_of_the_template(lab: Lab) -> None:
    """A need that no project can meet would hide the lab."""
    questions = json.loads((REPOSITORY / "cookiecutter.json").read_text(encoding="utf-8"))
    assert all(set(wanted) <= set(questions[question]) for question, wanted in lab.needs.items())


@each_lab
def test_only_the_last_hint_gives_the_fix_away(lab: Lab) -> None:
    """No line that the fix adds stands in the symptom or in the first three hints."""
    fixes = [file.read_text(encoding="utf-8") for file in lab.folder.rglob("fix.patch")]
    fix = {line for text in fixes for line in added(text) if len(line) > 12 and line[0] not in "#;"}
    early = " ".join([lab.symptom, *lab.hints[:3]]).split()
    assert [line for line in fix if " ".join(line.split()) in " ".join(early)] == []


@each_lab
def test_the_patches_name_no_project(lab: Lab) -> None:
    """They are written for any name of the package, and carry nothing but changes."""
    for file in lab.folder.rglob("*.patch"):
        text = file.read_text(encoding="utf-8")
        assert "notes_api" not in text, file.name
        assert not re.search(r"^index ", text, re.MULTILINE), file.name


def test_each_patch_fits_each_project_whose_answers_it_needs(repositories: list[Path]) -> None:
    """What does not fit any more is listed, all of it: the template has changed, or the lab needs an answer."""
    wrong, fitting = [], set()
    for root in repositories:
        project, repository = find(root), Repository(root)
        for lab in LABS:
            if lab.missing(project.answers):
                continue
            fitting.add(lab.name)
            try:
                patches = lab.patches(project)
                start = repository.patched("HEAD", patches.pop("break"), "x")
                for patch in patches.values():
                    repository.patched(start, patch, "x")
            except Exception as error:  # noqa: BLE001 - all of them are told at once
                wrong.append(f"{lab.name} on {', '.join(project.answers.values())}: {error}")
    assert not wrong, "\n".join(wrong)
    assert fitting == {lab.name for lab in LABS}


def test_broken_and_mended_projects_are_well_formed(repositories: list[Path], tmp_path: Path) -> None:
    """Python files compile in each state, and the mended project passes the project's own ruff."""
    for root in repositories[:2]:
        repository, project = Repository(root), find(root)
        for lab in (lab for lab in LABS if not lab.missing(project.answers)):
            patches = lab.patches(project)
            start = repository.patched("HEAD", patches.pop("break"), "x")
            for name, patch in patches.items():
                commit = repository.patched(start, patch, "x")
                files = repository.git("diff", "--name-only", "--diff-filter=d", "HEAD", commit).split()
                for file in (file for file in files if file.endswith(".py")):
                    ast.parse(
                        repository.git("show", f"{commit}:{file}"), filename=f"{lab.name} {name} {file}"
                    )
            target = tmp_path / root.parent.name / lab.name
            target.mkdir(parents=True)
            fixed = repository.patched(start, patches["fix"], "x")
            archive = subprocess.run(["git", "archive", fixed], cwd=root, capture_output=True, check=True)
            subprocess.run(["tar", "-x"], cwd=target, input=archive.stdout, check=True)
    ruff = [sys.executable, "-m", "ruff", "check", "--quiet", "--no-cache", str(tmp_path)]
    done = subprocess.run(ruff, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
