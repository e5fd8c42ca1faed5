"""HAProxy's file format: a section's keyword at the start of a line, words, quotation marks, ``${NAME}``.

https://docs.haproxy.org/2.6/configuration.html#2
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

SECTIONS = {
    "backend",
    "cache",
    "crt-store",
    "defaults",
    "fcgi-app",
    "frontend",
    "global",
    "http-errors",
    "listen",
    "log-forward",
    "mailers",
    "peers",
    "program",
    "resolvers",
    "ring",
    "userlist",
}
_NAME = re.compile(r"\$(?:\{(\w+)(?:-([^}]*))?(?:\[\*\])?\}|(\w+))")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
_PLAIN = re.compile(r"[^\s\\\"'#$]+")


@dataclass(kw_only=True)
class Line:
    """One line.

    Attributes:
        number: where it stands in its file, from 1.
        text: as it is written.
        words: what HAProxy makes of it; none in a comment.
        section: the words of the line that began its section.
    """

    number: int
    text: str
    words: list[str]
    section: list[str]

    def set(self, *words: str) -> None:
        """Write other words in place of those that are there."""
        self.words = list(words)
        self.text = "    " + " ".join(map(_quoted, words))

    def drop(self) -> None:
        """Leave the line empty, so that those after it keep their numbers."""
        self.words, self.text = [], ""


def read(text: str, values: Mapping[str, str]) -> list[Line]:
    """Read a file.

    Args:
        text: what stands in it.
        values: the environment that HAProxy will have.

    Raises:
        ValueError: a quotation mark has no other one; the message begins with the line's number.
    """
    lines, section, known = [], list[str](), dict(values)
    for number, line in enumerate(text.split("\n"), start=1):
        try:
            words = list(_split(line, known))
        except ValueError as error:
            raise ValueError(f"{number}: {error}") from None
        if words and words[0] in SECTIONS:
            section = words
        if words[:1] in (["setenv"], ["presetenv"]) and len(words) > 2:
            known[words[1]] = values.get(words[1], words[2]) if words[0] == "presetenv" else words[2]
        lines.append(Line(number=number, text=line, words=words, section=section))
    return lines


def _split(line: str, values: Mapping[str, str]) -> Iterator[str]:
    """Yield the words of a line; names of the environment are expanded inside of double quotes only."""
    word: str | None = None
    place = 0
    while place < len(line):
        char = line[place]
        place += 1
        if char == "#":
            break
        if char in " \t\r":
            if word is not None:
                yield word
            word = None
        elif char == "\\":
            word = (word or "") + _ESCAPED.get(line[place : place + 1], line[place : place + 1])
            place += 1
        elif char == "'":
            end = line.find("'", place)
            if end < 0:
                raise ValueError("unmatched quote")
            word, place = (word or "") + line[place:end], end + 1
        elif char == '"':
            quoted, place = _double_quoted(line, place, values)
            word = (word or "") + quoted
        else:
            word = (word or "") + char
    if word is not None:
        yield word


def _double_quoted(line: str, place: int, values: Mapping[str, str]) -> tuple[str, int]:
    """Return what stands between double quotes, and the place after them."""
    found = ""
    while place < len(line) and line[place] != '"':
        if line[place] == "\\":
            found += line[place + 1 : place + 2]
            place += 2
        elif match := _NAME.match(line, place):
            found += values.get(match[1] or match[3]) or match[2] or ""
            place = match.end()
        else:
            found += line[place]
            place += 1
    if place >= len(line):
        raise ValueError("unmatched quote")
    return found, place + 1


def _quoted(word: str) -> str:
    """Write a word so that HAProxy reads it as it is."""
    if _PLAIN.fullmatch(word):
        return word
    return "'" + word.replace("'", "'\\''") + "'"
