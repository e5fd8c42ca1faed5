"""One concept in the files of each tool, side by side: data in ``docs/worlds/``, text from freshly made projects.

Nothing is copied by hand, so the course cannot say what the template does not do.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import tempfile
import textwrap
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from steps import StepError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = "…"
COMMENT = re.compile(r"\s*(#(?!!)|;|//)")
LANGUAGES = {
    "nginx.conf": "nginx",
    "supervisord.conf": "ini",
    "Dockerfile": "docker",
    ".py": "python",
    ".yml": "yaml",
    ".yaml": "yaml",
    ".toml": "toml",
    ".json": "json",
    ".service": "ini",
    ".socket": "ini",
    ".slice": "ini",
    ".timer": "ini",
    ".conf": "ini",
}


@dataclass(frozen=True, kw_only=True)
class World:
    """A tool, and the lines of a generated file in which it does what a chapter is about.

    Attributes:
        tool: the tab's title.
        answers: answers to the template's questions with which the file exists.
        file: its path in the project.
        begin, end: patterns of the first and of the last line that count; empty for the file's.
        show: patterns of the lines that are shown, with the comments above each; none for all lines.
        says: one sentence.
    """

    tool: str
    file: str
    says: str
    answers: Mapping[str, str] = field(default_factory=dict)
    begin: str = ""
    end: str = ""
    show: Sequence[str] = ()


def read_worlds(file: Path) -> list[World]:
    """Read the worlds of a chapter.

    Raises:
        StepError: the file does not hold what ``World`` has, or a pattern cannot be read.
    """
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))["world"]
        named = {"from": "begin", "to": "end"}
        worlds = [World(**{named.get(key, key): value for key, value in table.items()}) for table in tables]
        for world in worlds:
            for pattern in (world.begin, world.end, *world.show):
                re.compile(pattern)
    except (KeyError, TypeError, tomllib.TOMLDecodeError, re.error) as error:
        raise StepError(f"error: docs/worlds/{file.name}: {error}") from None
    return worlds


def tabs(chapter: str, worlds: Sequence[World]) -> str:
    """Return the tabs of a chapter.

    Raises:
        StepError: the template has no such answer, the project no such file, or the file no such line.
    """
    return "\n" + "\n".join(tab(f"docs/worlds/{chapter}.toml: {world.tool}", world) for world in worlds)


def tab(where: str, world: World) -> str:
    """Return one tab; ``where`` begins each message."""
    check_answers(where, world.answers)
    file = project(tuple(sorted(world.answers.items()))) / world.file
    chosen = " and ".join(f"{question} = {answer}" for question, answer in world.answers.items())
    if not file.is_file():
        raise StepError(f"error: {where}: no {world.file} in a project with {chosen or 'default answers'}")
    text = excerpt(f"{where}: {world.file}", file.read_text(encoding="utf-8"), world)
    block = f'```{language(file)} title="{world.file}"\n{text}\n```'
    return f'=== "{world.tool}"\n\n' + textwrap.indent(f"{world.says.strip()}\n\n{block}\n", "    ")


def check_answers(where: str, answers: Mapping[str, str]) -> None:
    """Refuse a question or an answer that the template does not have."""
    questions = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))
    for question, answer in answers.items():
        if question not in questions:
            raise StepError(f"error: {where}: the template does not ask for {question}")
        offered = questions[question]
        if isinstance(offered, list) and answer not in offered:
            raise StepError(f"error: {where}: {question} is one of {', '.join(offered)}, not {answer}")


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """Make the folder of the projects, which goes when the program ends."""
    return tempfile.TemporaryDirectory(prefix="worlds-")


@contextlib.contextmanager
def silent_programs() -> Iterator[None]:
    """Let nothing reach standard output: what hooks print comes from programs of their own, past ``sys.stdout``."""
    sys.stdout.flush()
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(nowhere)
        os.close(kept)


@cache
def project(answers: tuple[tuple[str, str], ...]) -> Path:
    """Generate a project, once for the same answers; return its folder."""
    from cookiecutter.exceptions import FailedHookException  # type: ignore[import-untyped]
    from cookiecutter.main import cookiecutter  # type: ignore[import-untyped]

    target = tempfile.mkdtemp(dir=folder().name)
    context = {"git_init": "no", "plugin_requirement": "pytest-deploycheck", **dict(answers)}
    try:
        with silent_programs():
            made = cookiecutter(str(ROOT), no_input=True, output_dir=target, extra_context=context)
    except FailedHookException:
        raise StepError(f"error: the template refuses {dict(answers)}, for the reason above") from None
    return Path(made)


def excerpt(where: str, text: str, world: World) -> str:
    """Return the lines that are shown; a line ``…`` stands where others were left out.

    Raises:
        StepError: a pattern matches no line.
    """
    lines = text.splitlines()
    if world.begin:
        lines = lines[first(where, world.begin, lines) :]
    if world.end:
        lines = lines[: first(where, world.end, lines) + 1]
    shown = set(range(len(lines))) if not world.show else set()
    for pattern in world.show:
        first(where, pattern, lines)
        for number, line in enumerate(lines):
            if re.search(pattern, line):
                shown |= with_comments(lines, number)
    result: list[str] = []
    last = -1
    for number in sorted(shown):
        if result and number > last + 1 and any(line.strip() for line in lines[last + 1 : number]):
            result.append(LEFT_OUT)
        result.append(lines[number])
        last = number
    return textwrap.dedent("\n".join(result)).strip("\n")


def with_comments(lines: Sequence[str], number: int) -> set[int]:
    """Return the number of a line and those of the comment lines right above it."""
    start = number
    while start and COMMENT.match(lines[start - 1]):
        start -= 1
    return set(range(start, number + 1))


def first(where: str, pattern: str, lines: Sequence[str]) -> int:
    """Return the number of the first line that a pattern matches."""
    for number, line in enumerate(lines):
        if re.search(pattern, line):
            return number
    raise StepError(f"error: {where}: no line matches {pattern!r}")


def language(file: Path) -> str:
    """Return what a file is highlighted as."""
    if file.name in LANGUAGES or file.suffix in LANGUAGES:
        return LANGUAGES.get(file.name) or LANGUAGES[file.suffix]
    return "sh" if file.read_bytes().startswith(b"#!") else "text"
