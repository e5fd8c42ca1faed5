"""The part of Go's templates that configuration files use: values of the environment, and conditions on them.

Traefik expands its dynamic files with https://pkg.go.dev/text/template and the functions of https://masterminds.github.io/sprig
before it parses them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

_ACTION = re.compile(r"(?:\s*{{- |{{)\s*(?P<action>.*?)\s*(?: -}}\s*|}})", re.DOTALL)
_WORD = re.compile(r'"(?:\\.|[^"\\])*"|`[^`]*`|[\w.]+|[()|]|\S')
_FUNCTIONS: Mapping[str, Callable[..., object]] = {
    "eq": lambda first, *others: first in others,
    "ne": lambda one, other: one != other,
    "not": lambda value: not value,
    "default": lambda usual, value: value or usual,
    "quote": lambda value: json.dumps(value, ensure_ascii=False),
}


class TemplateError(Exception):
    """An action that cannot be expanded; the message names it.

    Attributes:
        line: where it is.
    """

    def __init__(self, line: int, action: str) -> None:
        super().__init__(
            f"{{{{ {' '.join(action.split())} }}}} cannot be expanded here, only env and conditions"
        )
        self.line = line


def expand(text: str, values: Mapping[str, str]) -> str:
    """Return the text with its actions replaced by what they give with these values of the environment.

    Raises:
        TemplateError: it does more than that.
    """
    parts: list[str] = []
    shown: list[bool] = []  # of each open `if`: whether its present branch counts
    end = 0
    for match in _ACTION.finditer(text):
        action, line = match["action"], text.count("\n", 0, match.end()) + 1
        if all(shown):
            parts.append(text[end : match.start()])
        end = match.end()
        word, _, rest = action.partition(" ")
        try:
            if action.startswith("/*"):
                continue
            if word == "if":
                shown.append(all(shown) and bool(_value(rest, values)))
            elif action == "else":
                shown[-1] = all(shown[:-1]) and not shown[-1]
            elif action == "end":
                shown.pop()
            elif all(shown):
                parts.append(_text(_value(action, values)))
        except (LookupError, TypeError, ValueError, StopIteration, RecursionError):
            raise TemplateError(line, action) from None
    if shown:
        raise TemplateError(text.count("\n") + 1, "if … without end")
    return "".join([*parts, text[end:]])


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(expression: str, values: Mapping[str, str]) -> object:
    words = iter([*_WORD.findall(expression), ")"])
    value = _pipeline(words, values)
    if next(words, None) is not None:
        raise ValueError(expression)
    return value


def _pipeline(words: Iterator[str], values: Mapping[str, str]) -> object:
    """Evaluate up to the next closing bracket: commands, each of which gets the value of the one before."""
    piped: list[object] = []
    terms: list[object] = []
    function: Callable[..., object] | None = None
    for word in words:
        if word in ")|":
            terms += piped
            piped = [function(*terms) if function else _only(terms)]
            if word == ")":
                return piped[0]
            terms, function = [], None
        elif word == "(":
            terms.append(_pipeline(words, values))
        elif word.startswith('"'):
            terms.append(json.loads(word))
        elif word.startswith("`"):
            terms.append(word.strip("`"))
        elif word.isdecimal() or word in ("true", "false"):
            terms.append(json.loads(word))
        elif function is None and not terms:
            function = (lambda name: values.get(name, "")) if word == "env" else _FUNCTIONS[word]
        else:
            raise ValueError(word)
    raise ValueError("a bracket is not closed")


def _only(terms: list[object]) -> object:
    (value,) = terms
    return value
