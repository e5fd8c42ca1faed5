"""The ASGI app: which module holds it, under which name, and from which folder it is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from pytest_deploycheck.detection.files import ProjectFiles, calls, keyword, literal, name_of
from pytest_deploycheck.detection.finding import Finding

FRAMEWORKS = {"FastAPI": "FastAPI", "Starlette": "Starlette", "get_asgi_application": "Django"}
USUAL_NAMES = ("app", "application", "api")
USUAL_MODULES = ("main", "asgi", "app", "server", "api", "__init__")


@dataclass(frozen=True, kw_only=True)
class App:
    """An ASGI app, or a function that makes one.

    Attributes:
        framework: FastAPI, Starlette or Django.
        folder: from which it is imported, relative to the project.
        module, attribute: of ``module:attribute``.
        is_factory: whether the attribute is a function that makes it.
        root_path: what the app is told of its public path.
        found: where.
    """

    framework: str
    folder: str
    module: str
    attribute: str
    is_factory: bool
    root_path: str
    found: Finding

    @property
    def target(self) -> str:
        """As servers take it."""
        return f"{self.module}:{self.attribute}"


def find_apps(files: ProjectFiles) -> list[App]:
    """Return all apps, the likeliest first."""
    found = [app for file in files.python for app in _in_file(files, file)]
    return sorted(found, key=_rank)


def _rank(app: App) -> tuple[bool, int, int, int]:
    stem = PurePosixPath(app.found.file).stem
    return (
        app.is_factory,
        USUAL_NAMES.index(app.attribute) if app.attribute in USUAL_NAMES else len(USUAL_NAMES),
        USUAL_MODULES.index(stem) if stem in USUAL_MODULES else len(USUAL_MODULES),
        app.found.file.count("/"),
    )


def _in_file(files: ProjectFiles, file: str) -> Iterator[App]:
    text = files.text(file)
    if not any(word in text for word in FRAMEWORKS):
        return
    body = files.tree(file).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    factories = {node.name: made for node in functions if (made := _made_in(node))}
    for node in body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
            target, called = node.targets[0] if isinstance(node, ast.Assign) else node.target, node.value
            framework, call = factories.get(name_of(called.func), (name_of(called.func), called))
            if framework in FRAMEWORKS and isinstance(target, ast.Name):
                yield _app(files, file, node, target.id, framework, call, is_factory=False)
        elif isinstance(node, ast.FunctionDef) and node.name in factories and _can_be_called(node):
            yield _app(files, file, node, node.name, *factories[node.name], is_factory=True)


def _made_in(function: ast.FunctionDef) -> tuple[str, ast.Call] | None:
    """Return the first call of a framework in a function."""
    return next(((made, call) for made, call in calls(function) if made in FRAMEWORKS), None)


def _can_be_called(function: ast.FunctionDef) -> bool:
    """Tell whether a server may call it: it is public and needs no argument."""
    arguments = function.args
    return (
        not function.name.startswith("_")
        and len(arguments.args) == len(arguments.defaults)
        and None not in arguments.kw_defaults
    )


def _app(
    files: ProjectFiles, file: str, node: ast.stmt, name: str, made: str, call: ast.Call, *, is_factory: bool
) -> App:
    folder, module = importable(files, file)
    root_path = literal(keyword(call, "root_path"))
    return App(
        framework=FRAMEWORKS[made],
        folder=folder,
        module=module,
        attribute=name,
        is_factory=is_factory,
        root_path=root_path if isinstance(root_path, str) else "",
        found=Finding(kind="app", value=f"{module}:{name}", file=file, line=node.lineno),
    )


def importable(files: ProjectFiles, file: str) -> tuple[str, str]:
    """Return the folder from which a Python file is imported, and its name then.

    A folder is part of the name if it has an ``__init__.py``, or if the project imports what is below it by its name.
    """
    path = PurePosixPath(file)
    parts = [] if path.stem == "__init__" else [path.stem]
    folder = path.parent
    while str(folder) != "." and (
        f"{folder}/__init__.py" in files.all or _is_imported(files, folder.name, folder)
    ):
        parts.insert(0, folder.name)
        folder = folder.parent
    return str(folder), ".".join(parts)


def _is_imported(files: ProjectFiles, name: str, folder: PurePosixPath) -> bool:
    if not name.isidentifier() or name == "src":
        return False
    below = [file for file in files.python if PurePosixPath(file).is_relative_to(folder)]
    heads = (f"from {name}.", f"import {name}.", f"from {name} import")
    return any(line.startswith(heads) for file in below for line in files.text(file).splitlines())
