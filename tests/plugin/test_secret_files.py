"""Secrets that are files: what is read of them, what a run makes of them, and what it shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploycheck.config import ConfigError
from pytest_deploycheck.masking import masked
from pytest_deploycheck.reader import load
from pytest_deploycheck.sandbox.run import ProjectCopy, Run
from pytest_deploycheck.sandbox.values import set_value
from pytest_deploycheck.stacks.compose.images import digest

TOKEN = "in-a-file-and-in-no-line"
TABLE = """[tool.deploycheck]
domain = "example.com"
manager_config = "compose.yaml"
secrets = ["API_TOKEN", "OTHER", "Spelled_So", "../ESCAPED"]
secrets_dir = ".secrets"

[tool.deploycheck.requests]
headers = { Authorization = "Bearer $API_TOKEN" }
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with secrets that git ignores."""
    root = tmp_path / "project"
    (root / ".secrets").mkdir(parents=True)
    (root / ".gitignore").write_text(".env\n.secrets/\n", encoding="ascii")
    (root / ".env").write_text("OTHER=in-a-line\n", encoding="ascii")
    (root / "pyproject.toml").write_text(TABLE, encoding="ascii")
    files = {"api_token": f"{TOKEN}\n", "other": "in-a-file", "Spelled_So": "x", "unnamed": "not a setting"}
    for name, text in files.items():
        (root / ".secrets" / name).write_text(text, encoding="ascii")
        (root / ".secrets" / name).chmod(0o444)
    (root / "escaped").write_text("no secret", encoding="ascii")
    return root


@pytest.fixture
def copy(project: Path) -> Iterator[ProjectCopy]:
    """A copy of it."""
    run = Run(load(project))
    yield run.copy()
    run.close()


def test_values_are_read(project: Path) -> None:
    """A file has the name of its setting, or that in small letters; a line of the environment file beats it."""
    config = load(project)
    assert config.requests.headers == {"Authorization": f"Bearer {TOKEN}"}
    names = ("API_TOKEN", "OTHER", "Spelled_So", "../ESCAPED", "UNNAMED")
    assert [config.value_of(name) for name in names] == [TOKEN, "in-a-line", "x", None, None]


def test_values_are_masked(project: Path) -> None:
    """They are secrets like those of the environment file."""
    assert masked(f"a {TOKEN} b", load(project)) == "a <API_TOKEN> b"


def test_a_copy_has_them_and_the_project_keeps_them(project: Path, copy: ProjectCopy) -> None:
    """They are changed and taken away where the copy has them, also by somebody who may not write to the file."""
    file, own = copy.root / ".secrets/api_token", project / ".secrets/api_token"
    assert file.read_text(encoding="ascii") == f"{TOKEN}\n"
    assert not (copy.root / ".secrets/unnamed").exists()
    set_value(copy, "API_TOKEN", "")
    assert file.read_text(encoding="ascii") == "\n"
    set_value(copy, "API_TOKEN", None)
    assert not file.exists()
    set_value(copy, "OTHER", "changed")
    assert (copy.root / ".env").read_text(encoding="ascii") == "OTHER=changed\n"
    assert own.read_text(encoding="ascii") == f"{TOKEN}\n"


def test_another_secret_makes_no_other_image(copy: ProjectCopy) -> None:
    """An image holds none of them, so the one that is there serves."""
    files = copy.run.config.unversioned_files
    before = digest(copy.root, without=files)
    set_value(copy, "API_TOKEN", "another")
    assert digest(copy.root, without=files) == before


def test_a_file_that_is_no_text_is_named(project: Path) -> None:
    """One line says which one it is."""
    (project / ".secrets/api_token").unlink()
    (project / ".secrets/api_token").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"^\.secrets/api_token: "):
        load(project)
