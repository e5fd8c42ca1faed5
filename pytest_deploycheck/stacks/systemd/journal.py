"""The machine's journal, as journald shows it on the machine's console."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterable
from pathlib import Path

from pytest_deploycheck.stacks.base import LOG_WIDTH

# [   12.345678] gunicorn[42]: text
CONSOLE_LINE = re.compile(r"\[ *\d+\.\d+\] (?P<who>[^\s\[:]+)(\[\d+\])?: (?P<text>.*)")


def tail(files: Iterable[Path], lines: int, *, units: Collection[str]) -> str:
    """Return the last lines of the journal that are about some units, shortened."""
    text = "".join(file.read_text(encoding="utf-8", errors="replace") for file in files)
    found = [said for line in text.splitlines() if (said := _said(line, units))][-lines:]
    return "\n".join(
        textwrap.shorten(line, LOG_WIDTH, placeholder=" …") if len(line) > LOG_WIDTH else line
        for line in found
    )


def _said(line: str, units: Collection[str]) -> str:
    """Return a line of the journal as its program has written it; nothing if the program is systemd's own."""
    match = CONSOLE_LINE.fullmatch(line.rstrip())
    if match is None:
        return ""
    is_about_units = match["who"] == "systemd" and any(name in match["text"] for name in units)
    is_ours = not match["who"].startswith(("systemd", "dbus", "kernel"))
    return match["text"] if is_about_units or is_ours else ""
