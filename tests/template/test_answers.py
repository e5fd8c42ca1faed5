"""Answers that no project could be made of are refused; odd ones that are right are not."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Bake
from cookiecutter.exceptions import FailedHookException

BAD = [
    ("project_name", "   "),
    ("project_name", "x" * 101),
    ("project_name", 'say "hi"'),
    ("project_name", "back\\slash"),
    ("description", "two\nlines"),
    ("description", "bell \a"),
    ("description", ""),
    ("project_slug", "Notes"),
    ("project_slug", "notes-api"),
    ("project_slug", "notes api"),
    ("project_slug", "3d_notes"),
    ("project_slug", "_notes"),
    ("project_slug", "notes_"),
    ("project_slug", "nötes"),
    ("project_slug", "x" * 41),
    ("project_slug", "class"),
    ("project_slug", "match"),
    ("project_slug", "json"),
    ("project_slug", "fastapi"),
    ("project_slug", "migrations"),
    ("project_slug", "tests"),
    ("project_slug", "psutil"),
    ("domain", "https://notes.example.com"),
    ("domain", "notes.example.com:8443"),
    ("domain", "notes.example.com/api"),
    ("domain", "notes"),
    ("domain", "-notes.example.com"),
    ("domain", "notes..example.com"),
    ("domain", "notes_api.example.com"),
    ("domain", "192.0.2.1"),
    ("domain", "*.example.com"),
    ("domain", f"{'x' * 64}.example.com"),
    ("domain", ".".join(["x" * 60] * 5)),
    ("domain", ""),
    ("workers", "0"),
    ("workers", "-1"),
    ("workers", "257"),
    ("workers", "two"),
    ("workers", "1.5"),
    ("workers", ""),
    ("memory_limit_mb", "179"),
    ("memory_limit_mb", "512MB"),
    ("memory_limit_mb", "0"),
    ("path_prefix", "api"),
    ("path_prefix", "/api/"),
    ("path_prefix", "/"),
    ("path_prefix", "/a//b"),
    ("path_prefix", "/a b"),
    ("path_prefix", "/../up"),
    ("path_prefix", "/{a}"),
    ("python_version", "3.9"),
    ("python_version", "3"),
    ("plugin_requirement", ""),
    ("plugin_requirement", 'x", "y'),
]


@pytest.mark.parametrize(("question", "answer"), BAD)
def test_bad_answer_is_refused(
    bake: Bake, tmp_path: Path, capfd: pytest.CaptureFixture[str], question: str, answer: str
) -> None:
    """One line names the question, the answer and the remedy, and nothing is left behind."""
    with pytest.raises(FailedHookException):
        bake(**({"project_slug": "notes"} | {question: answer}))
    lines = capfd.readouterr().err.splitlines()
    told = [line for line in lines if line.startswith(f"{question} cannot be {answer!r}: ")]
    assert len(told) == 1
    assert len(told[0].partition(": ")[2]) > 10
    assert [line for line in lines if " cannot be " in line] == told
    assert list((tmp_path / "projects").iterdir()) == []


def test_all_bad_answers_are_told_at_once(bake: Bake, capfd: pytest.CaptureFixture[str]) -> None:
    """Nobody has to answer five times."""
    with pytest.raises(FailedHookException):
        bake(domain="http://x", workers="none", path_prefix="api/", python_version="2.7")
    told = [line.split()[0] for line in capfd.readouterr().err.splitlines() if " cannot be " in line]
    assert told == ["domain", "workers", "path_prefix", "python_version"]


def test_secret_of_a_requirement_is_neither_taken_nor_shown(
    bake: Bake, capfd: pytest.CaptureFixture[str]
) -> None:
    """A password in a URL would end up in a file that is shared."""
    with pytest.raises(FailedHookException):
        bake(plugin_requirement="pytest-deploycheck @ git+https://me:hunter2@example.com/x")
    output = "".join(capfd.readouterr())
    assert "plugin_requirement cannot be" in output
    assert "hunter2" not in output


@pytest.mark.parametrize(
    "answers",
    [
        {"project_name": "Ünïcode – Notes’ (it's) 🎉 & <b>", "project_slug": "n"},  # noqa: RUF001
        {"domain": "localhost"},
        {"domain": "XN--NTES-5QA.example"},
        {"workers": "1", "memory_limit_mb": "110"},
        {"workers": "256", "memory_limit_mb": "100000"},
        {"workers": "auto"},
        {"path_prefix": "/a/b-c/v1.0"},
        {"python_version": "3.14"},
    ],
    ids=" ".join,
)
def test_odd_but_right_answer_is_taken(bake: Bake, answers: dict[str, str]) -> None:
    """Limits are where something would break, and no nearer."""
    project = bake(**answers)
    values = (project / ".env").read_text() + (project / "pyproject.toml").read_text()
    values += (project / "README.md").read_text() + (project / "src").iterdir().__next__().name
    assert all(answer in values for answer in answers.values())
