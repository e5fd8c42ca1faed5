"""How long the course takes: chapters by `course.toml`, quizzes by their questions, labs by what each of them says."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quizzes import read_quiz

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pytest_deploycheck.labs.lab import Lab

A_QUESTION = 1


@dataclass(frozen=True, kw_only=True)
class Chapter:
    """What a chapter takes, in minutes.

    Attributes:
        name: of its page.
        title: the page's heading.
        question: what it answers.
        text: what the page itself takes, by purpose.
        quiz: its questions.
        labs: those that it leads to.
    """

    name: str
    title: str
    question: str
    text: Mapping[str, int]
    quiz: int
    labs: Sequence[Lab]

    @property
    def core(self) -> int:
        """Everything but the labs that are further practice."""
        return sum(self.text.values()) + self.quiz + sum(lab.minutes for lab in self.labs if lab.core)

    @property
    def further(self) -> int:
        """The other labs."""
        return sum(lab.minutes for lab in self.labs if not lab.core)

    @property
    def line(self) -> str:
        """What stands at the beginning of the chapter."""
        labs = [lab for lab in self.labs if lab.core]
        parts = {**self.text, "for the quiz": self.quiz}
        if labs:
            parts["for the lab" if len(labs) == 1 else "for the core labs"] = sum(lab.minutes for lab in labs)
        spent = ", ".join(f"{minutes} {purpose}" for purpose, minutes in parts.items())
        further = f" The other labs are further practice: {self.further} more." if self.further else ""
        return f"**{self.core} minutes:** {spent}.{further}"


def read_course(root: Path, labs: Sequence[Lab]) -> list[Chapter]:
    """Return the chapters in their order."""
    data = tomllib.loads((root / "tools/course.toml").read_text(encoding="utf-8"))
    docs = root / "docs"
    return [
        Chapter(
            name=name,
            title=(docs / f"{name}.md").read_text(encoding="utf-8").partition("\n")[0].removeprefix("# "),
            question=chapter["question"],
            text=chapter["minutes"],
            quiz=len(read_quiz(docs / f"quizzes/{name}.toml")) * A_QUESTION,
            labs=[lab for lab in labs if lab.chapter == name],
        )
        for name, chapter in data.items()
    ]


def overview(chapters: Sequence[Chapter]) -> str:
    """Return the length of the course, and its table."""
    core, further = (
        sum(part) for part in zip(*((each.core, each.further) for each in chapters), strict=True)
    )
    length = (
        f"{len(chapters)} chapters. The **core path**, with two labs for each concept, takes about {in_words(core)}"
        f" hours ({in_hours(core)}); the other labs are further practice, and take {in_hours(further)} more."
    )
    lines = [
        length,
        "",
        "| No. | Chapter | Question | Minutes | Further practice |",
        "|---|---|---|---|---|",
    ]
    for number, each in enumerate(chapters):
        link = f"[{each.title}]({each.name}.md)"
        lines.append(f"| {number} | {link} | {each.question} | {each.core} | {each.further or ''} |")
    return "\n".join(lines)


def in_hours(minutes: int) -> str:
    """Return a time in hours and minutes."""
    return f"{minutes // 60} hours and {minutes % 60} minutes"


def in_words(minutes: int) -> str:
    """Return a time in whole hours, as one says them."""
    hours = round(minutes / 60)
    return {9: "nine", 10: "ten", 11: "eleven", 12: "twelve"}.get(hours, str(hours))
