"""How texts look in the terminal."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pytest_deploycheck.outcome import Result, Status

WIDTH = 100
NAME_WIDTH = 36
RED, GREEN, YELLOW, BOLD = "31", "32", "33", "1"
WORDS = {
    Status.PASSED: ("green", GREEN),
    Status.FAILED: ("RED", RED),
    Status.WARNED: ("RED", RED),
    Status.BLOCKED: ("blocked", YELLOW),
    Status.NOT_VERIFIED: ("not tried", YELLOW),
    Status.WAIVED: ("waived", YELLOW),
    Status.NOT_APPLICABLE: ("nothing to check", YELLOW),
}


class Pen:
    """Writes to standard output: wrapped to the terminal's width, coloured where there is one."""

    def _coloured(self, text: str, colour: str) -> str:
        plain = not sys.stdout.isatty() or "NO_COLOR" in os.environ
        return text if plain else f"\x1b[{colour}m{text}\x1b[0m"

    def say(self, text: str) -> None:
        """Write lines as they are."""
        print(text)

    def head(self, text: str) -> None:
        """Write a heading."""
        print(f"\n{self._coloured(text, BOLD)}")

    def text(self, text: str, indent: int = 2) -> None:
        """Write paragraphs, with an empty line between them."""
        width = min(WIDTH, shutil.get_terminal_size((WIDTH, 24)).columns)
        margin = " " * indent
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        filled = (
            textwrap.fill(words, width, initial_indent=margin, subsequent_indent=margin)
            for words in paragraphs
        )
        print("\n\n".join(filled))

    def row(self, name: str, text: str, mark: str = "") -> None:
        """Write a line of a list."""
        colour = GREEN if mark == "solved" else YELLOW
        print(f"  {name:<{NAME_WIDTH}}{text}{'  ' + self._coloured(mark, colour) if mark else ''}")

    def verdict(self, result: Result) -> None:
        """Write the line of a check."""
        word, colour = WORDS[result.status]
        print(f"  {self._coloured(f'{word:<10}', colour)} {result.id}  {result.title}")


@contextmanager
def waiting(text: str) -> Iterator[Callable[[float], None]]:
    """Show what takes a while: in a terminal with the seconds that it takes, else in one line."""
    is_terminal = sys.stdout.isatty()
    if not is_terminal:
        print(f"{text} …", flush=True)

    def tick(seconds: float) -> None:
        if is_terminal:
            print(f"\r{text} … {seconds:.0f} s", end="", flush=True)

    try:
        yield tick
    finally:
        if is_terminal:
            print("\r\x1b[K", end="", flush=True)
