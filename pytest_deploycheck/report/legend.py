"""What the colours and shapes of a chart mean."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_deploycheck.report.markup import Markup, element


def key(class_: str, text: str) -> Markup:
    """Return a sample and what it means."""
    return element("span", element("i", class_=f"key {class_}", aria_hidden="true"), text)


def legend(keys: Sequence[Markup], more: str = "") -> Markup:
    """Return all keys of a chart, and what else is to be said of it."""
    return element("p", *keys, element("span", more) if more else None, class_="legend")
