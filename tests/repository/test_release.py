"""What must be true before a version is published."""

import re

import pytest
from release import notes
from steps import StepError

CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-11-25

### Added

- A check.

## [1.1.0] - 2026-10-01

- Older.
"""


def test_the_notes_are_the_section_of_the_version() -> None:
    """Not more, and not less."""
    assert notes("v1.2.0", "1.2.0", CHANGELOG) == "### Added\n\n- A check."
    assert notes("v1.1.0", "1.1.0", CHANGELOG) == "- Older."


@pytest.mark.parametrize(
    ("tag", "version", "changelog", "said"),
    [
        ("v1.2.1", "1.2.0", CHANGELOG, "tag v1.2.0"),
        ("1.2.0", "1.2.0", CHANGELOG, "tag v1.2.0"),
        ("v1.3.0", "1.3.0", CHANGELOG, "no entries below a heading ## [1.3.0] - YYYY-MM-DD"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace("- A check.\n", "").replace("### Added\n", ""), "no entries"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace(" - 2026-11-25", ""), "write the heading"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace("2026-11-25", "soon"), "not 'soon'"),
        ("v1.2.0", "1.2.0", CHANGELOG.replace("[Unreleased]\n", "[Unreleased]\n\n- New.\n"), "move them"),
    ],
)
def test_a_release_that_is_not_ready_is_refused(tag: str, version: str, changelog: str, said: str) -> None:
    """One line says what is missing."""
    with pytest.raises(StepError, match=re.escape(said)) as refusal:
        notes(tag, version, changelog)
    assert "\n" not in str(refusal.value)
