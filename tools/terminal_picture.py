"""Draw what a command prints into a terminal: `terminal_picture.py OUT.svg -- COMMAND...`.

The SVG asks for nothing from the network, and paths of this machine are cut out.
"""

from __future__ import annotations

import argparse
import fcntl
import html
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text
from steps import clean_environment, exit_code_of, say

CURSOR_MOVES = re.compile(r"\x1b\[[0-9;?]*[A-HJKSTfhlsu]")
FONT_FACES = re.compile(r"\s*@font-face\s*\{.*?\}", re.DOTALL)
MONOSPACE = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


def run_in_terminal(command: list[str], *, columns: int, cwd: Path) -> str:
    """Return everything that a command prints into a terminal of this width."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    environment = clean_environment() | {"TERM": "xterm-256color", "COLUMNS": str(columns)}
    environment.pop("NO_COLOR", None)
    child = subprocess.Popen(
        command, cwd=cwd, env=environment, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
    )
    os.close(slave)
    output = b""
    try:
        while chunk := os.read(master, 65536):
            output += chunk
    except OSError:
        pass  # Linux says EIO when the last program has closed its side
    finally:
        os.close(master)
        child.wait()
    return output.decode(errors="replace")


def what_is_seen(output: str) -> str:
    """Return the text as the terminal shows it in the end: a carriage return starts the line again."""
    lines = CURSOR_MOVES.sub("", output).replace("\r\n", "\n").split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2] for line in lines)


def without_machine_paths(text: str, folder: Path) -> str:
    """Replace the folder of the run, its parents and the home folder by what a reader would have."""
    text = text.replace(str(folder), "~/" + folder.name)
    text = text.replace(str(Path.home()), "~")
    return re.sub(r"(?<![\w.~])/(?:tmp|var/tmp|work|home|root|usr|opt)/[^\s'\":,]*/", "…/", text)


def draw(text: str, *, columns: int, title: str) -> str:
    """Return the SVG."""
    console = Console(record=True, width=columns, file=Path(os.devnull).open("w"), force_terminal=True)  # noqa: SIM115
    console.print(Text.from_ansi(text), soft_wrap=False)
    svg = console.export_svg(title=title, unique_id="deploycheck")
    svg = FONT_FACES.sub("", svg).replace("Fira Code", "monospace")
    svg = re.sub(r"font-family:[^;]*monospace[^;]*;", f"font-family: {MONOSPACE};", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(title)}" ', 1)


def main() -> None:
    """Draw one command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("command", nargs="+", help="after --")
    parser.add_argument("--cwd", type=Path, default=Path.cwd())
    parser.add_argument("--columns", type=int, default=110)
    parser.add_argument("--last", type=int, metavar="LINES", help="draw only the last lines")
    parser.add_argument("--from", dest="start", metavar="TEXT", help="begin at the first line with this text")
    parser.add_argument("--title", help="default: the command")
    options = parser.parse_args()
    folder: Path = options.cwd.resolve()
    title: str = options.title or " ".join([Path(options.command[0]).name, *options.command[1:]])
    seen = what_is_seen(run_in_terminal(options.command, columns=options.columns, cwd=folder))
    lines = without_machine_paths(seen, folder).rstrip().split("\n")
    if options.start:
        first = next((number for number, line in enumerate(lines) if options.start in line), 0)
        lines = lines[first:]
    if options.last:
        lines = lines[-options.last :]
    options.output.write_text(draw("\n".join(lines), columns=options.columns, title=title), encoding="utf-8")
    say(f"wrote {options.output}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
