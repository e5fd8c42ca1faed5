"""README.md and docs/ say what the code says."""

import re
from pathlib import Path

import pytest
from generate import CHAPTERS, checks_of_the_plugin, generate, problems_of, with_list, with_paragraphs
from steps import StepError

from pytest_deploycheck.check import Check

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = """# Restarts

## The checks

### RST001: an old title {#RST001}

<!-- check:RST001 -->
old
<!-- /check -->

**Why.** Because.

## Planned checks

### RST009: a new release drops nobody {#RST009}

*Planned.* To be done.
"""


def made_up_check(check_id: str) -> Check:
    """Return a record; its text has a backslash, which a pattern would misread."""

    def check_something() -> None:
        r"""Kill one \d worker."""

    return Check(
        id=check_id,
        title="a killed worker is replaced",
        expect="a new pid",
        fix="restart it",
        function=check_something,
        experiment=None,
        should=False,
    )


def test_nothing_is_stale() -> None:
    """`make generate` would change no file and finds nothing wrong."""
    files, problems = generate(ROOT, checks_of_the_plugin())
    assert problems == []
    assert [path.name for path, text in files.items() if path.read_text(encoding="utf-8") != text] == []


def test_every_check_is_in_the_readme() -> None:
    """The list in the README has each check once."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\|[^|]*\| ([A-Z]+\d+) \|", readme, flags=re.MULTILINE)
    assert listed == [check.id for check in checks_of_the_plugin()]


def test_no_id_is_explained_twice() -> None:
    """Each ID has one anchor in all chapters together: failure messages link to it."""
    texts = [(ROOT / "docs" / f"{name}.md").read_text(encoding="utf-8") for name in CHAPTERS]
    anchors = re.findall(r"\{#([A-Z]+\d+)\}", "\n".join(texts))
    assert sorted(anchors) == sorted(set(anchors))


def test_a_paragraph_follows_the_code_and_leaves_the_rest() -> None:
    """The title and the marked lines are renewed; what people wrote stays."""
    text = with_paragraphs(CHAPTER, [made_up_check("RST001")])
    assert "### RST001: a killed worker is replaced {#RST001}" in text
    assert "**What is done.** Kill one \\d worker.\n" in text
    assert "old" not in text
    assert "**Why.** Because." in text
    assert text.endswith("*Planned.* To be done.\n")
    assert with_paragraphs(text, [made_up_check("RST001")]) == text


def test_a_complete_chapter_has_no_problems() -> None:
    """One check with its section, one section that is planned."""
    assert problems_of("restarts", CHAPTER, [made_up_check("RST001")]) == []


@pytest.mark.parametrize(
    ("ids", "problem"),
    [
        (["RST001", "RST005"], "RST005 has no section"),
        ([], "RST001 has no check"),
        (["RST001", "RST009"], "RST009 is marked as planned and has a check"),
    ],
)
def test_a_chapter_that_differs_from_the_code_is_reported(ids: list[str], problem: str) -> None:
    """A check without a section, a section without a check, and a planned one that exists."""
    problems = problems_of("restarts", CHAPTER, [made_up_check(check_id) for check_id in ids])
    assert [text for text in problems if problem in text] == problems != []


def test_a_readme_without_markers_is_refused() -> None:
    """Losing the markers must not lose the list silently."""
    with pytest.raises(StepError, match="checks:begin"):
        with_list("# deploycheck\n", [])
