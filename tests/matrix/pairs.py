"""Combinations of answers to the template's questions, so that each two answers that go together meet in one."""

from __future__ import annotations

import ast
import functools
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

REPOSITORY = Path(__file__).parents[2]
HOOK = REPOSITORY / "hooks/pre_gen_project.py"
# Questions with a free answer: some that are unlike the default.
FREE = {
    "workers": ("1", "2", "auto"),
    "memory_limit_mb": ("512", "1024"),
    "path_prefix": ("", "/api/v1"),
    "python_version": ("3.11", "3.12", "3.13", "3.14"),
}
Answers = dict[str, str]
Pair = frozenset[tuple[str, str]]


@functools.cache
def _asked() -> dict[str, Any]:
    questions: dict[str, Any] = json.loads((REPOSITORY / "cookiecutter.json").read_text(encoding="utf-8"))
    return questions


@functools.cache
def questions() -> dict[str, tuple[str, ...]]:
    """Return the answers to try, by question: all of those that the template offers a list of, first the default."""
    return {name: tuple(answers) for name, answers in _asked().items() if isinstance(answers, list)} | FREE


@functools.cache
def _hook() -> Callable[[dict[str, str]], list[tuple[str, str]]]:
    """Return the function of the template's own hook that says what is wrong with answers."""
    tree = ast.parse(HOOK.read_text(encoding="utf-8"))
    last = tree.body.pop()  # the call of main(), which wants Cookiecutter's answers
    assert isinstance(last, ast.Expr)
    names: dict[str, Any] = {}
    exec(compile(tree, str(HOOK), "exec"), names)  # noqa: S102
    return cast("Callable[[dict[str, str]], list[tuple[str, str]]]", names["problems"])


def refused(answers: Answers) -> list[str]:
    """Return the questions whose answers the template refuses in this combination."""
    usual = {
        name: answer[0] if isinstance(answer, list) else str(answer) for name, answer in _asked().items()
    }
    return [question for question, _ in _hook()({**usual, "project_slug": "notes_api", **answers})]


def pairs_of(answers: Answers) -> set[Pair]:
    """Return each two of these answers."""
    return {frozenset(pair) for pair in itertools.combinations(sorted(answers.items()), 2)}


def all_pairs() -> set[Pair]:
    """Return each two answers to two questions."""
    return {
        frozenset({(one, a), (other, b)})
        for one, other in itertools.combinations(questions(), 2)
        for a in questions()[one]
        for b in questions()[other]
    }


@functools.cache
def possible() -> tuple[Answers, ...]:
    """Return all combinations that the template takes."""
    every = (
        dict(zip(questions(), answers, strict=True)) for answers in itertools.product(*questions().values())
    )
    return tuple(answers for answers in every if not refused(answers))


@functools.cache
def impossible_pairs() -> set[Pair]:
    """Return the pairs that are in none of them."""
    return all_pairs().difference(*map(pairs_of, possible()))


@functools.cache
def combinations() -> tuple[Answers, ...]:
    """Return combinations in which each possible pair is: again and again the one with the most pairs not met yet.

    Not allpairspy (2.5): where answers exclude each other it comes to rows that nothing completes, and leaves out their
    pairs, 40 of 186 here.
    """
    numbers = {pair: 1 << number for number, pair in enumerate(sorted(all_pairs(), key=sorted))}
    masks = [sum(numbers[pair] for pair in pairs_of(answers)) for answers in possible()]
    to_meet = sum(numbers.values()) - sum(numbers[pair] for pair in impossible_pairs())
    chosen = []
    while to_meet:
        best = max(range(len(masks)), key=lambda row: (masks[row] & to_meet).bit_count())
        chosen.append(possible()[best])
        to_meet &= ~masks[best]
    return tuple(chosen)


def some_combinations() -> list[Answers]:
    """Return a few of them that have each answer once: again and again the one with the most answers not met yet."""
    chosen: list[Answers] = []
    met: set[tuple[str, str]] = set()
    while True:
        best = max(combinations(), key=lambda answers: len(answers.items() - met))
        if best.items() <= met:
            return chosen
        chosen.append(best)
        met |= best.items()
