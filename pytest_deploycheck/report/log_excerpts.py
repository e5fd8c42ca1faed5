"""The last lines of a stack's logs, by the file that they are from."""

from __future__ import annotations

import os
import re
from pathlib import Path

from pytest_deploycheck.config import Config
from pytest_deploycheck.masking import masked
from pytest_deploycheck.stacks.protocol import Stack

LINES = 12
LONGEST_LINE = 400
LINE_BUFFER = 64 * 1024
# Of what is logged while requests come, most is of requests.
TELLING = re.compile(
    r"\b(error|warn\w*|crit\w*|(?-i:SIG[A-Z]+)|signal|killed|died|exit\w*|terminat\w*|spawn\w*|boot\w*|start\w*|stop\w*)\b",
    re.IGNORECASE,
)
OF_THE_START = "what the start command printed"


def last_lines(stack: Stack) -> dict[str, list[str]]:
    """Return the last lines of each log, secrets masked before lines are cut; empty logs are left out."""
    copy = stack.copy
    excerpts = {}
    for file in stack.log_files():
        name = OF_THE_START if file == copy.log_file else os.path.normpath(file).removeprefix(f"{copy.root}/")
        text = _end(file).replace(f"{copy.root}/", "")
        excerpts[name] = cut(text.splitlines(), stack.config)
    return {name: lines for name, lines in excerpts.items() if lines}


def telling_lines(lines: list[str], config: Config) -> list[str]:
    """Return the lines that tell of processes or of trouble; the last of those that do not, where none does.

    Of many the first ones, which tell of what was done, and the last ones, which tell how it ended.
    """
    telling = [line for line in lines if TELLING.search(line)]
    if len(telling) > LINES:
        half = LINES // 2
        telling = [*telling[:half], *telling[-half:]]
    return cut(telling or lines, config)


def cut(lines: list[str], config: Config) -> list[str]:
    """Return the last of the lines, none too long."""
    told = (masked(line, config) for line in lines[-LINES:])
    return [line if len(line) <= LONGEST_LINE else f"{line[: LONGEST_LINE - 1]}…" for line in told]


def _end(file: Path) -> str:
    try:
        with file.open("rb") as content:
            content.seek(max(0, content.seek(0, os.SEEK_END) - LINE_BUFFER))
            return content.read().decode(errors="replace")
    except OSError:
        return ""  # rotated away at this moment
