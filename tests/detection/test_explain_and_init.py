"""``deploycheck explain`` and ``deploycheck init``, in projects of the corpus."""

from __future__ import annotations

import io
import shutil
import tomllib
from pathlib import Path

import pytest

from pytest_deploycheck.commands import main
from pytest_deploycheck.reader import load

CORPUS = Path(__file__).parents[1] / "corpus"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project with a database, as the current folder."""
    folder = tmp_path / "poetry"
    shutil.copytree(CORPUS / "poetry", folder)
    monkeypatch.chdir(folder)
    return folder


def test_explain(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It names what was detected with file and line, what will be run, and what is missing with the checks."""
    assert main(["explain"]) == 0
    said = capsys.readouterr().out
    for where in (
        "bookshop/main.py:8",
        "Dockerfile:15",
        "alembic.ini:1",
        "not run: a container engine (Dockerfile)",
        "TLS001",
        "BOOT001, BOOT005, RST002, RST003, RST006: a container engine (Dockerfile) is to do this",
        "/health/ready (ready)",
        ".env (which does not exist)",
    ):
        assert where in said
    assert "no proxy in the project" in said
    assert not list(project.glob("**/*.pyc"))


def test_explain_shows_no_password(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A password in a URL is no news for a terminal."""
    (project / "bookshop/database.py").write_text(
        'DATABASE_URL = "postgresql://books:hunter22@db/books"\n', encoding="utf-8"
    )
    (project / "Dockerfile").unlink()
    main(["explain"])
    said = "".join(capsys.readouterr())
    assert "bookshop/database.py:1" in said
    assert "hunter22" not in said


def test_explain_where_nothing_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says what could be stated."""
    monkeypatch.chdir(tmp_path)
    assert main(["explain"]) == 2
    said = capsys.readouterr()
    assert "nothing" in said.out
    assert "command = " in said.err


def test_init_appends_and_changes_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file begins with what it was; the table says the same as what is detected without it."""
    file = project / "pyproject.toml"
    before, detected = file.read_bytes(), load(project)
    assert main(["init", "--yes"]) == 0
    after = file.read_bytes()
    assert after.startswith(before)
    table = tomllib.loads(after.decode())["tool"]["deploycheck"]
    assert table["app"] == "bookshop.main:app"
    assert table["workers"] == 2
    assert table["requests"]["ready"] == "/health/ready"
    stated = load(project)
    assert stated == detected
    assert "deploycheck explain" in capsys.readouterr().out


def test_init_never_overwrites(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A second time is refused, and so is a file that is no TOML."""
    file = project / "pyproject.toml"
    main(["init", "--yes"])
    once = file.read_bytes()
    assert main(["init", "--yes"]) == 2
    assert "already" in capsys.readouterr().err
    assert file.read_bytes() == once
    file.write_text("[tool", encoding="utf-8")
    assert main(["init", "--yes"]) == 2
    assert file.read_text(encoding="utf-8") == "[tool"


def test_init_keeps_line_ends(project: Path) -> None:
    """A file with Windows' line ends gets no others."""
    file = project / "pyproject.toml"
    file.write_bytes(b'[project]\r\nname = "x"')
    assert main(["init", "--yes"]) == 0
    assert file.read_bytes().count(b"\n") == file.read_bytes().count(b"\r\n")


def test_init_makes_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A project without ``pyproject.toml`` gets one that holds the table alone."""
    folder = tmp_path / "flat"
    shutil.copytree(CORPUS / "flat", folder)
    monkeypatch.chdir(folder)
    assert main(["init", "--yes"]) == 0
    document = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
    assert document["tool"]["deploycheck"]["command"] == "uvicorn main:app"


def test_init_asks(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Enter takes what was detected, an answer replaces it, a dash leaves it out; without a terminal it is refused."""
    assert main(["init"]) == 2

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("\n\n\nbooks.example.com\n-\n" + "\n" * 20))
    assert main(["init"]) == 0
    table = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["deploycheck"]
    assert table["app"] == "bookshop.main:app"
    assert table["domain"] == "books.example.com"
    assert "env_file" not in table


def test_init_without_all_answers_writes_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-D in the middle of the questions is no answer."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    before = (project / "pyproject.toml").read_bytes()
    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    assert main(["init"]) == 2
    assert (project / "pyproject.toml").read_bytes() == before
