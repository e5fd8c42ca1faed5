"""HTML and SVG, put together from elements. Texts are escaped unless they are ``Markup`` already."""

from __future__ import annotations

import re
from html import escape
from typing import Final

VOID: Final = frozenset({"br", "hr", "img", "input", "link", "meta"})
# What XML and HTML do not allow at all, however it is written.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Markup(str):
    """A text that is markup and must not be escaped again."""

    __slots__ = ()


Child = str | Markup | None | list["Child"]
Attribute = str | float | bool | None


def element(name: str, /, *children: Child, **attributes: Attribute) -> Markup:
    """Return ``<name …>children</name>``.

    Attributes that are None or False are left out, those that are True have no value. A ``_`` at the end of a name is
    dropped (``class_``), others become ``-`` (``aria_label``).
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items())
    start = f"<{name}{told}>"
    return Markup(start if name in VOID else f"{start}{joined(*children)}</{name}>")


def joined(*children: Child) -> Markup:
    """Return some children one after the other; None is nothing."""
    return Markup("".join(_written(child) for child in children))


def _written(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Markup):
        return child
    if isinstance(child, list):
        return joined(*child)
    return clean(escape(child))


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    key = name.removesuffix("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{clean(escape(_number(value)))}"'


def prose(text: str) -> Markup:
    """Return a text of which what stands between two ` is code."""
    parts = re.split("`([^`\n]+)`", text)
    return joined(*(element("code", part) if index % 2 else part for index, part in enumerate(parts)))


def _number(value: str | float) -> str:
    """Return a number with as many digits as a drawing needs."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)


def clean(text: str) -> str:
    """Replace characters that no document may hold."""
    return _FORBIDDEN.sub("\ufffd", text)
