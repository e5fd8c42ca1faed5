"""The parts of a text that a program writes, each between two marker lines."""

from __future__ import annotations

from steps import StepError


def between(text: str, name: str, what: str, content: str) -> str:
    """Return the text of a file with something new between ``<!-- what:begin -->`` and ``<!-- what:end -->``."""
    return replaced(text, name, f"<!-- {what}:begin -->", f"<!-- {what}:end -->", content)


def replaced(text: str, name: str, first: str, last: str, content: str) -> str:
    """Return the text of a file with something new between two marker lines.

    Raises:
        StepError: one of them is not there.
    """
    head, begin, rest = text.partition(first)
    _, end, tail = rest.partition(last)
    if not (begin and end):
        raise StepError(f"error: {name} needs the lines {first} and {last}")
    return f"{head}{begin}\n{content}\n{end}{tail}"
