"""Dockerfiles: CMD and ENTRYPOINT, ENV, WORKDIR, and which folder of the project becomes which of the image."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

from pytest_deploycheck.detection.files import ProjectFiles
from pytest_deploycheck.detection.finding import Finding, ServerCommand
from pytest_deploycheck.detection.words import expanded

NAMES = r"(.*[.-])?(Dockerfile|Containerfile)([.-].*)?"


@dataclass(kw_only=True)
class Image:
    """What a Dockerfile says, up to its last stage."""

    environment: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    moves: dict[str, str] = field(default_factory=dict)
    entrypoint: str = ""
    command: str = ""
    is_shell: bool = False
    line: int = 1
    port: int | None = None

    @property
    def words(self) -> str:
        """What the engine runs: ENTRYPOINT, and CMD as its arguments."""
        return f"{self.entrypoint} {self.command}".strip()


def find_dockerfiles(files: ProjectFiles) -> list[str]:
    """Return all Dockerfiles, those near the top first."""
    return [file for file in files.named(NAMES) if not file.endswith((".dockerignore", ".py", ".md"))]


def read_image(files: ProjectFiles, file: str, context: str | None = None) -> Image:
    """Read a Dockerfile; ``context`` is the folder that its COPY is relative to, by default its own."""
    base = PurePosixPath(context if context is not None else str(PurePosixPath(file).parent))
    image = Image()
    for number, name, rest in _instructions(files, file):
        if name == "FROM":
            image.entrypoint = image.command = ""
            image.folder = "/"
        elif name == "WORKDIR":
            image.folder = str(PurePosixPath(image.folder) / expanded(rest, image.environment))
        elif name == "ENV":
            image.environment |= _pairs(rest, image.environment)
        elif name == "EXPOSE":
            port = expanded(rest.split()[0].partition("/")[0], image.environment) if rest else ""
            image.port = int(port) if port.isdecimal() else image.port
        elif name in ("COPY", "ADD"):
            _copy(files, image, base, rest)
        elif name in ("CMD", "ENTRYPOINT"):
            words, is_shell = _command(rest)
            image.line, image.is_shell = number, is_shell or (image.is_shell and name == "CMD")
            if name == "CMD":
                image.command = words
            else:
                image.entrypoint, image.command = words, ""
    if not image.moves:
        image.moves[image.folder] = str(base)
    return image


def command_of(files: ProjectFiles, file: str) -> ServerCommand | None:
    """Return what the image of a Dockerfile runs, None if it says nothing."""
    image = read_image(files, file)
    if not image.words:
        return None
    command = ServerCommand(
        line=image.words,
        is_shell=image.is_shell,
        found=Finding(kind="command", value=image.words, file=file, line=image.line),
        environment=image.environment,
        runner=f"a container engine ({file})",
        port=image.port,
        moves=image.moves,
    )
    return _in_folder(command, image.folder)


def _in_folder(command: ServerCommand, folder: str) -> ServerCommand:
    moved = command.in_project(folder)
    return replace(command, folder="." if moved.startswith("/") else moved)


def _instructions(files: ProjectFiles, file: str) -> Iterator[tuple[int, str, str]]:
    pending, began = "", 0
    for number, raw in files.lines(file):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        began = began or number
        if line.endswith("\\"):
            pending += line[:-1] + " "
            continue
        name, _, rest = (pending + line).partition(" ")
        yield began, name.upper(), rest.strip()
        pending, began = "", 0


def _command(rest: str) -> tuple[str, bool]:
    """Return the words of an exec form, or the line of a shell form."""
    if rest.startswith("["):
        try:
            words = json.loads(rest)
        except ValueError:
            words = None
        if isinstance(words, list) and all(isinstance(word, str) for word in words):
            line = line_of_shell(words)
            return (line, True) if line is not None else (shlex.join(words), False)
    return rest, True


def line_of_shell(words: list[str]) -> str | None:
    """Return what a shell is given as a line (``sh -c LINE``), None if the words are no such command."""
    if len(words) == 3 and re.fullmatch(r"(/bin/)?(ba)?sh", words[0]) and words[1] in ("-c", "-lc"):
        return words[2]
    return None


def _pairs(rest: str, environment: dict[str, str]) -> dict[str, str]:
    if "=" not in rest.split(" ", maxsplit=1)[0]:
        name, _, value = rest.partition(" ")
        return {name: expanded(value.strip(), environment)}
    try:
        words = shlex.split(rest)
    except ValueError:
        words = rest.split()
    pairs = (word.partition("=") for word in words if "=" in word)
    return {name: expanded(value, environment) for name, _, value in pairs}


def _copy(files: ProjectFiles, image: Image, base: PurePosixPath, rest: str) -> None:
    words = [word for word in rest.split() if not word.startswith("--")]
    if "--from=" in rest or rest.startswith("[") or len(words) < 2:
        return
    target = PurePosixPath(image.folder) / expanded(words[-1], image.environment)
    for word in words[:-1]:
        source = base / word.lstrip("/")
        if (files.root / source).is_dir():
            image.moves[str(target)] = str(source)
