"""A project can install the plugin before there is any release of it: from where the template came."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from conftest import REPOSITORY, Bake

HOOK = REPOSITORY / "hooks" / "post_gen_project.py"


def requirement(project: Path) -> str:
    """Read what the project wants for its development."""
    dev = tomllib.loads((project / "pyproject.toml").read_text())["project"]["optional-dependencies"]["dev"]
    (found,) = [line for line in dev if "deploycheck" in line]
    return found


@pytest.fixture(scope="module")
def hook() -> dict[str, object]:
    """Load the hook's functions without running it."""
    namespace: dict[str, object] = {}
    exec(HOOK.read_text().removesuffix("main()\n"), namespace)  # noqa: S102
    return namespace


@pytest.fixture
def clone(tmp_path: Path) -> tuple[str, str]:
    """Put the template into a repository of its own; give its address and its commit."""
    origin = tmp_path / "origin.git"
    origin.mkdir()
    for name in ("cookiecutter.json", "hooks", "{{cookiecutter.project_slug}}"):
        copy = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        copy(REPOSITORY / name, origin / name)
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@example.com", "-C", str(origin)]
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return f"file://{origin}", commit.stdout.strip()


def test_folder(bake: Bake) -> None:
    """A template on this machine: the plugin beside it."""
    assert requirement(bake(plugin_requirement="auto")) == f"pytest-deploycheck @ {REPOSITORY.as_uri()}"


@pytest.mark.parametrize("start", [".", "tests"])
def test_folder_written_relatively(bake: Bake, monkeypatch: pytest.MonkeyPatch, start: str) -> None:
    """`cookiecutter .` and `cookiecutter ..` mean the folder where they were typed."""
    monkeypatch.chdir(REPOSITORY / start)
    monkeypatch.setenv("PWD", str(REPOSITORY / start))
    template = "." if start == "." else ".."
    project = bake(template=template, plugin_requirement="auto")
    assert requirement(project) == f"pytest-deploycheck @ {REPOSITORY.as_uri()}"


def test_repository(bake: Bake, clone: tuple[str, str]) -> None:
    """A template from elsewhere: the commit that was used, not whatever is newest one day."""
    url, commit = clone
    project = bake(template=url, plugin_requirement="auto")
    assert requirement(project) == f"pytest-deploycheck @ git+{url}@{commit}"


@pytest.mark.parametrize(
    ("template", "url"),
    [
        ("gh:org/template", "https://github.com/org/template"),
        ("gl:org/group/template.git", "https://gitlab.com/org/group/template.git"),
        ("https://github.com/org/template.git", "https://github.com/org/template.git"),
        ("git+https://example.com/template", "https://example.com/template"),
        ("https://me:hunter2@example.com/template.git", "https://example.com/template.git"),
        ("https://me:hunt@er2@example.com/template.git", "https://example.com/template.git"),
        ("https://example.com/template.git?private_token=hunter2", "https://example.com/template.git"),
        ("git@github.com:org/template.git", "https://github.com/org/template.git"),
        ("ssh://git@example.com/org/template.git", "https://example.com/org/template.git"),
        ("ssh://git@example.com:2222/org/template.git", ""),
        ("https://example.com/template.zip", ""),
        ("/home/me/template", ""),
        ("template", ""),
    ],
)
def test_address_of_a_repository(hook: dict, template: str, url: str) -> None:
    """Abbreviations and SSH become what pip can fetch; names, passwords and tokens stay out."""
    assert hook["repository"](template) == url


def test_commit_is_read_without_git(hook: dict, tmp_path: Path) -> None:
    """A branch, a packed branch and a bare commit are understood; what is no repository gives nothing."""
    git = tmp_path / ".git"
    assert hook["head"](tmp_path) == ""
    git.mkdir()
    (git / "HEAD").write_text("ref: refs/heads/main\n")
    (git / "packed-refs").write_text("# pack-refs\n" + "a" * 40 + " refs/heads/main\n")
    assert hook["head"](tmp_path) == "a" * 40
    (git / "refs" / "heads").mkdir(parents=True)
    (git / "refs" / "heads" / "main").write_text("b" * 40 + "\n")
    assert hook["head"](tmp_path) == "b" * 40
    (git / "HEAD").write_text("c" * 40 + "\n")
    assert hook["head"](tmp_path) == "c" * 40


def test_any_other_answer_is_used_as_it_is(bake: Bake) -> None:
    """Who knows better is not corrected."""
    assert requirement(bake(plugin_requirement="pytest-deploycheck>=1,<2")) == "pytest-deploycheck>=1,<2"


def test_cruft(hook: dict) -> None:
    """cruft tells the commit itself, and not where its clone is."""
    answers = {"_template": "https://example.com/template", "_commit": "1234abc"}
    assert (
        hook["plugin_requirement"](answers) == "pytest-deploycheck @ git+https://example.com/template@1234abc"
    )
    answers = {"_template": str(REPOSITORY), "_commit": "1234abc"}
    assert hook["plugin_requirement"](answers) == f"pytest-deploycheck @ {REPOSITORY.as_uri()}"
