"""The command line that runs a proxy."""

from __future__ import annotations

import shlex
from pathlib import Path

from pytest_deploycheck.stacks.protocol import StackError


def split_after(program: str, command: str, *, usual: str) -> tuple[list[str], list[str]]:
    """Return the words up to the program, such as ``nice caddy``, and those after it.

    Args:
        program: its name.
        command: the command line, all names expanded.
        usual: what the command should look like, for the message.

    Raises:
        StackError: it cannot be split into words, or does not run the program.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise StackError(f"the proxy's command {command!r} cannot be split into words: {error}") from None
    for end, word in enumerate(words, start=1):
        if Path(word).name == program:
            return words[:end], words[end:]
    raise StackError(f"the proxy's command must be {usual}, not {command!r}")
