"""Print the notes of a release, `release.py v1.2.3`, or say what a release of that tag still lacks.

The tag is the version of pyproject.toml, and CHANGELOG.md has a section for it with a date and entries.
"""

from __future__ import annotations

import argparse
import datetime as dt
import re
import sys
import tomllib
from pathlib import Path

from steps import StepError, exit_code_of

ROOT = Path(__file__).resolve().parent.parent
UNRELEASED = "Unreleased"


def notes(tag: str, version: str, changelog: str) -> str:
    """Return what the changelog says of a version.

    Raises:
        StepError: the tag, the version and the changelog do not agree; the message says how to mend it.
    """
    if tag != f"v{version}":
        raise StepError(f"error: the tag is {tag}, but pyproject.toml has version {version}: tag v{version}")
    sections = {name: (date, text.strip()) for name, date, text in _sections(changelog)}
    date, text = sections.get(version, ("", ""))
    if not text:
        raise StepError(f"error: CHANGELOG.md has no entries below a heading ## [{version}] - YYYY-MM-DD")
    try:
        dt.date.fromisoformat(date)
    except ValueError:
        raise StepError(
            f"error: CHANGELOG.md: write the heading ## [{version}] - YYYY-MM-DD, not {date!r}"
        ) from None
    if sections.get(UNRELEASED, ("", ""))[1]:
        raise StepError(f"error: CHANGELOG.md has entries below [{UNRELEASED}]: move them to [{version}]")
    return text


def _sections(changelog: str) -> list[tuple[str, str, str]]:
    """Split a changelog into names, dates and texts."""
    return re.findall(r"^## \[(.+?)\](?: - (.*))?\n((?:(?!## |\[.+\]: ).*\n?)*)", changelog, re.MULTILINE)


def main() -> None:
    """Print the notes of the tag on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tag", help="the tag that is to be released, such as v1.2.3")
    tag = parser.parse_args().tag
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    print(notes(tag, version, (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
