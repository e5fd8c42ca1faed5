"""Each chapter is whole: what a learner needs is there, in the same order."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from quizzes import read_quiz
from worlds import read_worlds

from pytest_deploycheck.check import Concept

DOCS = Path(__file__).resolve().parents[2] / "docs"
SECTIONS = [
    "Predict",
    "See it fail",
    "How it works",
    "The checks",
    "Labs",
    "In your world",
    "Quiz",
    "For instructors",
    "Limits",
]
CONCEPTS = [concept.slug for concept in Concept]
CHAPTERS = ["setup", "processes", *CONCEPTS, "capstone"]


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_sections_come_in_the_same_order(chapter: str) -> None:
    """A chapter may have more of them, behind its checks."""
    text = (DOCS / f"{chapter}.md").read_text(encoding="utf-8")
    found = re.findall(r"^## (.*?)(?: \{#.*)?$", text, re.MULTILINE)
    assert [title for title in found if title in SECTIONS] == SECTIONS
    assert re.search(r"^\*\*\d+ minutes:\*\* ", text, re.MULTILINE)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_diagram_is_described(chapter: str) -> None:
    """It is on the page with a text in its place, and has a title and colours for a dark page."""
    text = (DOCS / f"{chapter}.md").read_text(encoding="utf-8")
    assert re.search(rf"!\[[^]]{{40,}}\]\(diagrams/{chapter}\.svg\)", text)
    drawing = (DOCS / f"diagrams/{chapter}.svg").read_text(encoding="utf-8")
    assert ET.fromstring(drawing).findtext("{http://www.w3.org/2000/svg}title")
    assert "prefers-color-scheme: dark" in drawing


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_quiz_and_worlds_are_large_enough(chapter: str) -> None:
    """At least four questions, and two tools side by side."""
    assert len(read_quiz(DOCS / f"quizzes/{chapter}.toml")) >= 4
    assert len(read_worlds(DOCS / f"worlds/{chapter}.toml")) >= 2


@pytest.mark.parametrize("chapter", CONCEPTS)
def test_each_lab_is_named_where_it_fits(chapter: str) -> None:
    """In the explanation too, not only in the list below the checks."""
    text = (DOCS / f"{chapter}.md").read_text(encoding="utf-8")
    explanation = text[text.index("\n## How it works") : text.index("\n## The checks")]
    table = text[text.index("<!-- labs:begin -->") : text.index("<!-- labs:end -->")]
    labs = re.findall(r"\| `([\w-]+)` \|", table)
    assert labs
    assert [name for name in labs if f"[`{name}`](#labs)" not in explanation] == []
