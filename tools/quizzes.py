"""Quizzes of the course: data in ``docs/quizzes/``, as HTML that needs no script to be read.

A question is a ``fieldset`` with radio buttons; what is said of each answer stands once, in ``details``, which
``docs/javascripts/quiz.js`` hides and takes its verdicts from.
"""

from __future__ import annotations

import html
import re
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from steps import StepError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What can be chosen, whether it is right, and what is said of it."""

    text: str
    correct: bool
    because: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question with answers, exactly one of which is right."""

    text: str
    answers: Sequence[Answer]


def read_quiz(file: Path) -> list[Question]:
    """Read the questions of a chapter.

    Raises:
        StepError: the file does not hold what ``Question`` and ``Answer`` have.
    """
    name = f"docs/quizzes/{file.name}"
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
        questions = [question_of(each) for each in data["question"]]
    except (KeyError, TypeError, tomllib.TOMLDecodeError) as error:
        raise StepError(f"error: {name}: {error}") from None
    for question in questions:
        right = sum(answer.correct for answer in question.answers)
        if right != 1 or len(question.answers) < 2:
            raise StepError(f"error: {name}: {question.text!r} needs one right answer, and a wrong one")
    return questions


def question_of(data: Mapping[str, Any]) -> Question:
    """Make a question of its table."""
    return Question(**{**data, "answers": [Answer(**answer) for answer in data["answers"]]})


def as_html(text: str) -> str:
    """Escape a text; `code` in it becomes code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text.strip(), quote=False))


def quiz(chapter: str, questions: Sequence[Question]) -> str:
    """Return a chapter's quiz."""
    forms = [form(f"quiz-{chapter}-{number}", number, each) for number, each in enumerate(questions, start=1)]
    return "\n".join(['<div class="quiz">', *forms, "</div>"])


def form(name: str, number: int, question: Question) -> str:
    """Return one question."""
    choices = [
        f'<label><input type="radio" name="answer" value="{index}"> <span>{as_html(answer.text)}</span></label>'
        for index, answer in enumerate(question.answers)
    ]
    said = [
        f'<li data-correct="{str(answer.correct).lower()}"><em>{as_html(answer.text)}</em>'
        f" <b>{'Right.' if answer.correct else 'No.'}</b> <span>{as_html(answer.because)}</span></li>"
        for answer in question.answers
    ]
    return "\n".join(
        [
            f'<form id="{name}">',
            f"<fieldset><legend>{number}. {as_html(question.text)}</legend>",
            *choices,
            '<button type="submit" class="md-button" hidden>Check</button>',
            '<p role="status"></p>',
            "</fieldset>",
            "<details><summary>Answers</summary><ul>",
            *said,
            "</ul></details>",
            "</form>",
        ]
    )
