"""Commands that are scripts: which server a shell script or a Python file of the project starts."""

from __future__ import annotations

import ast
import shlex
from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from pytest_deploycheck.detection.files import ProjectFiles, calls, keyword, literal
from pytest_deploycheck.detection.finding import ServerCommand
from pytest_deploycheck.detection.words import SERVERS, server_words


def starts_a_server(text: str) -> bool:
    """Tell whether a line of a shell script starts a server."""
    line = text.strip()
    return not line.startswith(("#", "echo ")) and server_words(line, {}) is not None


def with_server(files: ProjectFiles, command: ServerCommand) -> ServerCommand:
    """Return the command together with the line that names its server, if it is a script of the project that does."""
    if command.words:
        return command
    try:
        words = shlex.split(command.line)
    except ValueError:
        return command
    for word in words:
        inside = command.in_project(word)
        for file in {inside, str(PurePosixPath(command.folder) / inside)}:
            if line := _server_line(files, str(PurePosixPath(file))):
                return replace(command, server_line=line)
    if "-m" in words[:-1]:
        module = words[words.index("-m") + 1].replace(".", "/")
        for name in (f"{module}.py", f"{module}/__main__.py"):
            for folder in (command.folder, "src"):
                if line := _server_line(files, str(PurePosixPath(folder) / name)):
                    return replace(command, server_line=line)
    return command


def with_imported_server(files: ProjectFiles, line: str) -> str:
    """Return a command; of one that runs a Python file of the project, with the server in front that this imports."""
    scripts = [word for word in line.split() if word.endswith(".py")]
    if scripts and server_words(line, {}) is None:
        # Whoever imports fastapi makes an app, and starts no server.
        imported = {name for script in scripts for name in _imports(files.tree(script))} - {"fastapi"}
        return " ".join([*sorted(imported.intersection(SERVERS))[:1], line])
    return line


def _imports(tree: ast.AST) -> Iterator[str]:
    """Yield the first part of the name of each module that a file imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def _server_line(files: ProjectFiles, file: str) -> str:
    if file.startswith("/") or not files.text(file):
        return ""
    if file.endswith(".py"):
        return next((line for name, call in calls(files.tree(file)) if (line := _of_call(name, call))), "")
    joined = [line.strip() for line in files.text(file).replace("\\\n", " ").splitlines()]
    if named := next(filter(starts_a_server, joined), ""):
        return named
    # What the script becomes may be a Python file of the project that imports the server.
    last = next((line for line in reversed(joined) if line.startswith("exec ")), "").removeprefix("exec ")
    return found if (found := with_imported_server(files, last)) != last else ""


def _of_call(name: str, call: ast.Call) -> str:
    """Return ``uvicorn.run(...)`` as a command line."""
    if name != "run" or not isinstance(call.func, ast.Attribute) or not call.args:
        return ""
    target = literal(call.args[0])
    if ast.unparse(call.func) != "uvicorn.run":
        return ""
    words = ["uvicorn", *([target] if isinstance(target, str) else [])]
    for option in ("port", "workers"):
        value = literal(keyword(call, option))
        words += [f"--{option}", str(value)] if isinstance(value, int) else []
    if literal(keyword(call, "reload")) is True:
        words.append("--reload")
    return shlex.join(words)
