"""The files of a project that git would track, as detection reads them."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from pathspec import GitIgnoreSpec
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pytest_deploycheck.sandbox.project_copy import ALWAYS_LEFT_OUT

NOT_THE_APP = ("tests", "test", "docs", "examples", "node_modules", "site-packages", "deploychecks")
DEEPEST = 6
MOST_FILES = 20_000
LARGEST = 1_000_000


class ProjectFiles:
    """Reads each file once. What cannot be read or parsed is as if it were empty: detection never fails for a file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._texts: dict[str, str] = {}
        self._trees: dict[str, ast.Module] = {}

    @cached_property
    def all(self) -> list[str]:
        """All files, relative to the project; those near the top come first."""
        ignore = self.text(".gitignore").splitlines()
        ignored = GitIgnoreSpec.from_lines([*filter(_is_pattern, ignore), *ALWAYS_LEFT_OUT])
        found: list[str] = []
        for path in self._walk(self.root, ignored):
            found.append(path.relative_to(self.root).as_posix())
            if len(found) == MOST_FILES:
                break
        return sorted(found, key=lambda name: (name.count("/"), name))

    def _walk(self, folder: Path, ignored: GitIgnoreSpec) -> Iterator[Path]:
        try:
            entries = sorted(folder.iterdir())
        except OSError:
            return
        for path in entries:
            relative = path.relative_to(self.root)
            if path.is_symlink():
                continue
            if path.is_dir():
                if len(relative.parts) < DEEPEST and not ignored.match_file(f"{relative.as_posix()}/"):
                    yield from self._walk(path, ignored)
            elif not ignored.match_file(relative.as_posix()):
                yield path

    def named(self, pattern: str) -> list[str]:
        """Return the files whose name matches a regular expression, upper or lower case."""
        name = re.compile(pattern, re.IGNORECASE)
        return [file for file in self.all if name.fullmatch(PurePosixPath(file).name)]

    @cached_property
    def python(self) -> list[str]:
        """The Python files that can be the app: no tests, no docs."""
        return [
            file
            for file in self.all
            if file.endswith(".py")
            and not any(part in NOT_THE_APP for part in PurePosixPath(file).parts[:-1])
            and not PurePosixPath(file).name.startswith(("test_", "conftest"))
        ]

    def text(self, file: str) -> str:
        """Return the text of a file, empty if there is none."""
        if file not in self._texts:
            path = self.root / file
            try:
                small = path.is_file() and path.stat().st_size <= LARGEST
                self._texts[file] = path.read_text(encoding="utf-8", errors="replace") if small else ""
            except OSError:
                self._texts[file] = ""
        return self._texts[file]

    def lines(self, file: str) -> Iterator[tuple[int, str]]:
        """Yield the lines of a file with their numbers."""
        yield from enumerate(self.text(file).splitlines(), start=1)

    def tree(self, file: str) -> ast.Module:
        """Return the syntax tree of a Python file."""
        if file not in self._trees:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of somebody else's code
                    self._trees[file] = ast.parse(self.text(file))
            except (SyntaxError, ValueError, RecursionError, MemoryError):
                self._trees[file] = ast.Module(body=[], type_ignores=[])
        return self._trees[file]

    def yaml(self, file: str) -> Any:
        """Return a YAML document whose maps and lists know their lines (``lc``); None where it cannot be parsed."""
        try:
            return YAML(typ="rt").load(self.text(file))
        except (YAMLError, ValueError, RecursionError, NotImplementedError):
            return None


def _is_pattern(line: str) -> bool:
    try:
        GitIgnoreSpec.from_lines([line])
    except ValueError:
        return False
    return True


def calls(tree: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Yield all calls below a node, each with the last part of what is called: ``FastAPI`` of ``fastapi.FastAPI()``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield name_of(node.func), node


def name_of(node: ast.AST | None) -> str:
    """Return the last part of a dotted name, empty for anything else."""
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def literal(node: ast.AST | None) -> Any:
    """Return the value of a literal, None for anything else."""
    try:
        return ast.literal_eval(node) if isinstance(node, ast.expr) else None
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def keyword(call: ast.Call, name: str) -> ast.expr | None:
    """Return the keyword argument of a call."""
    return next((one.value for one in call.keywords if one.arg == name), None)
