"""The command blocks of a page, and what they print when they are run.

A block is a fence of the language ``console``. Its lines that begin with ``$ `` are commands (``> `` goes on with
one), the others are output. A line ``…`` of output stands for any lines, ``…`` within a line for any text. A block
after a line ``<!-- not run: REASON -->`` is not run.
"""

from __future__ import annotations

import os
import re
import subprocess
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

BLOCK = re.compile(
    r"(?P<before>^[^\n]*\n)?^(?P<indent> *)```console\n(?P<body>.*?)^ *```$", re.MULTILINE | re.DOTALL
)
NOT_RUN = re.compile(r"<!-- not run: \S.* -->$")
ANY = "…"
LIMIT_S = 600


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command line of a page, the line it stands in, and the output that the page shows."""

    line: int
    text: str
    output: Sequence[str]


@dataclass(frozen=True, kw_only=True)
class Block:
    """A command block, and whether it is run."""

    line: int
    run: bool
    commands: Sequence[Command]


def blocks(text: str) -> Iterator[Block]:
    """Find the command blocks of a page."""
    for found in BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("body")) + 1
        indent = len(found["indent"])
        lines = [each[indent:] for each in found["body"].splitlines()]
        run = not NOT_RUN.search((found["before"] or "").rstrip("\n"))
        yield Block(line=line, run=run, commands=list(commands(lines, line)))


def commands(lines: Sequence[str], start: int) -> Iterator[Command]:
    """Part the lines of a block, the first of which has the number ``start`` in its page."""
    begins = [number for number, line in enumerate(lines) if line.startswith("$ ")]
    for begin, end in zip(begins, [*begins[1:], len(lines)], strict=True):
        text, output = [lines[begin][2:]], list(lines[begin + 1 : end])
        while output and (output[0].startswith("> ") or text[-1].endswith("\\")):
            text.append(output.pop(0).removeprefix("> "))
        yield Command(line=start + begin, text="\n".join(text), output=output)


def pattern(output: Sequence[str]) -> re.Pattern[str]:
    """Return what a shown output matches; the number of blanks does not matter."""
    parts = []
    for line in output:
        if line.strip() == ANY:
            parts.append(r"(?:.*\n)*?")
        else:
            words = [".*?".join(map(re.escape, word.split(ANY))) for word in line.split()]
            parts.append(r"[ \t]*" + r"[ \t]+".join(words) + r"[ \t]*\n")
    return re.compile("".join(parts))


def differs(command: Command, printed: str, status: int) -> str:
    """Return what is wrong with what a command printed; nothing if it is as shown."""
    if not command.output:
        return f"exit status {status}:\n{printed}" if status else ""
    whole = re.sub(r"\n+\Z", "", printed) + "\n"
    shown = list(command.output)
    while shown and not shown[-1].strip():
        shown.pop()
    return "" if pattern(shown).fullmatch(whole) else f"shown:\n{chr(10).join(shown)}\nprinted:\n{whole}"


def run(page: Sequence[Command], project: Path, home: Path) -> list[tuple[str, int]]:
    """Run commands one after the other in one shell; return what each printed, and its exit status.

    Whatever they have started is ended.

    Raises:
        subprocess.TimeoutExpired: they took longer than ``LIMIT_S`` seconds.
    """
    mark = uuid.uuid4().hex
    script = home / "commands.sh"
    lines = [f"{command.text}\nprintf '\\n%s %d\\n' {mark} $?" for command in page]
    script.write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = {
        "PATH": f"{project / '.venv/bin'}:{os.environ['PATH']}",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_COUNT": "2",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "A learner",
        "GIT_CONFIG_KEY_1": "user.email",
        "GIT_CONFIG_VALUE_1": "learner@example.com",
        "COMMANDS_OF_A_PAGE": mark,
    }
    log = home / "commands.log"
    try:
        with log.open("wb") as output:
            subprocess.run(
                ["bash", str(script)],
                cwd=project,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=LIMIT_S,
                check=False,
            )
    finally:
        end(mark)
    printed = re.split(rf"\n{mark} (\d+)\n", log.read_text(encoding="utf-8", errors="replace"))
    return [(printed[2 * number], int(printed[2 * number + 1])) for number in range(len(page))]


def end(mark: str) -> None:
    """End every process that has the mark in its environment."""
    left = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("COMMANDS_OF_A_PAGE") == mark:
                process.terminate()
                left.append(process)
        except psutil.Error:
            continue
    for process in psutil.wait_procs(left, timeout=30)[1]:
        process.kill()
