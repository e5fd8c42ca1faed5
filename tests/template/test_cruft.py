"""`cruft check` and `cruft update` keep a generated project current, and the user's edits in it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import cruft
import pytest
from conftest import REPOSITORY

TEMPLATE = ("cookiecutter.json", "hooks", "{{cookiecutter.project_slug}}")
ANSWERS = {"plugin_requirement": "pytest-deploycheck"}


def run(*command: str | Path, cwd: Path) -> str:
    """Run a program that must succeed; return what it prints."""
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=True).stdout


def git(repository: Path, *arguments: str) -> str:
    """Run git."""
    return run("git", *arguments, cwd=repository)


@pytest.fixture(autouse=True)
def person(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let somebody make the commits."""
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "x")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "x@example.com")


def commit_before() -> str:
    """Return the newest commit whose template differs from the one that is here.

    Raises:
        pytest.skip.Exception: there is none, as in a shallow clone.
    """
    for commit in git(REPOSITORY, "log", "-n", "2", "--format=%H", "--", *TEMPLATE).split():
        if git(REPOSITORY, "diff", "--name-only", commit, "--", *TEMPLATE):
            return commit
    pytest.skip("the template's history is not here: git fetch --unshallow")


@pytest.fixture
def template(tmp_path: Path) -> Path:
    """Return a repository with two commits: the template before its last change, and as it is here."""
    folder = tmp_path / "template"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    archive = tmp_path / "before.tar"
    git(REPOSITORY, "archive", f"--output={archive}", commit_before(), *TEMPLATE)
    run("tar", "-xf", archive, cwd=folder)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=before")
    for name in TEMPLATE:
        here, there = REPOSITORY / name, folder / name
        if here.is_dir():
            shutil.rmtree(there)
            shutil.copytree(here, there, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(here, there)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message=here")
    return folder


def files_of(project: Path) -> dict[str, str]:
    """Return all files of a project but its secret, and what git and cruft keep."""
    found = {str(path.relative_to(project)): path for path in project.rglob("*") if path.is_file()}
    return {
        name: path.read_text(encoding="utf-8")
        for name, path in found.items()
        if not name.startswith(".git/") and name not in {".env", ".cruft.json"}
    }


def test_an_update_brings_the_template_and_keeps_the_users_edits(template: Path, tmp_path: Path) -> None:
    """A changed file, an own one, a removed one and the secret stay; all else is as in a new project."""
    make = {"template_git_url": str(template), "default_config": True, "extra_context": ANSWERS}
    project = cruft.create(**make, output_dir=tmp_path / "made", checkout="main~1")
    new = files_of(cruft.create(**make, output_dir=tmp_path / "new", checkout="main"))
    edited = project / "pyproject.toml"
    edited.write_text("# Ours.\n" + edited.read_text(encoding="utf-8"), encoding="utf-8")
    (project / "src/notes_api/ours.py").write_text('"""Ours."""\n', encoding="utf-8")
    (project / "tests/test_notes.py").unlink()
    secret = (project / ".env").read_text(encoding="utf-8")
    git(project, "add", "--all")
    git(project, "commit", "--quiet", "--message=Ours")

    assert not cruft.check(project, checkout="main")
    assert cruft.update(project, checkout="main")
    assert cruft.check(project, checkout="main")

    expected = {**new, "src/notes_api/ours.py": '"""Ours."""\n'}
    expected["pyproject.toml"] = "# Ours.\n" + expected["pyproject.toml"]
    del expected["tests/test_notes.py"]
    assert files_of(project) == expected
    assert (project / ".env").read_text(encoding="utf-8") == secret
