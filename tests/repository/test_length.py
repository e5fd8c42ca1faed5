"""How long the course takes: what it says is a sum, and is about ten hours."""

import json
import re
from pathlib import Path

import pytest
from course import Chapter, in_hours, overview, read_course

from pytest_deploycheck.check import Concept
from pytest_deploycheck.labs.lab import all_labs

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def chapters() -> list[Chapter]:
    """Return the chapters of the course."""
    return read_course(ROOT, all_labs())


def test_the_core_path_takes_about_ten_hours(chapters: list[Chapter]) -> None:
    """The first page says it, with the sum of what the chapters say."""
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    said = []
    for chapter in chapters:
        page = (ROOT / f"docs/{chapter.name}.md").read_text(encoding="utf-8")
        minutes, parts = re.findall(r"^\*\*(\d+) minutes:\*\* (.*?)\.", page, re.MULTILINE)[0]
        assert sum(map(int, re.findall(r"\d+", parts))) == int(minutes)
        said.append(int(minutes))
    assert f"takes about ten hours ({in_hours(sum(said))})" in index
    assert overview(chapters) in index


def test_two_labs_of_each_concept_are_the_core_path() -> None:
    """Each of them can be done in the project that the template makes by default."""
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    defaults = {key: answers[0] for key, answers in questions.items() if isinstance(answers, list)}
    core = [lab for lab in all_labs() if lab.core]
    of_chapters = [lab for lab in core if lab.chapter == lab.concept.slug]
    assert [lab.concept for lab in of_chapters] == [concept for concept in Concept for _ in range(2)]
    assert [lab.name for lab in core if lab.missing(defaults)] == []


def test_each_lab_is_counted_once(chapters: list[Chapter]) -> None:
    """No lab is forgotten, in the core path or beside it; the README says how many there are."""
    counted = [lab.name for chapter in chapters for lab in chapter.labs]
    assert sorted(counted) == sorted(lab.name for lab in all_labs())
    assert f"[{len(counted)} labs](docs/labs.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
