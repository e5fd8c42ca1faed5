"""The module of a copy that the server imports: a new release, or a broken one, is put in its place."""

from __future__ import annotations

from pathlib import Path

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.sandbox.run import ProjectCopy

FOLDERS = ("", "src")
BROKEN = """\
from sitecustomize import record

record("crash")
raise RuntimeError("a broken release, made by deploycheck")
"""


def module_name(copy: ProjectCopy) -> str:
    """Return the module of ``[tool.deploycheck] app``.

    Raises:
        NotVerified: it is not declared.
    """
    if not copy.run.config.app:
        raise NotVerified(
            'which module the server imports is not known: [tool.deploycheck] app = "module:name"'
        )
    return copy.run.config.app.partition(":")[0]


def module_file(copy: ProjectCopy) -> Path:
    """Return its file in the copy.

    Raises:
        NotVerified: it is not there.
    """
    path = module_name(copy).replace(".", "/")
    for folder in FOLDERS:
        for file in (copy.root / folder / f"{path}.py", copy.root / folder / path / "__init__.py"):
            if file.is_file():
                return file
    raise NotVerified(f"{path}.py is neither in the project's folder nor in src/")


def release(copy: ProjectCopy, number: int) -> None:
    """Make the copy a new release: its app's module has a number."""
    with module_file(copy).open("a", encoding="utf-8") as file:
        file.write(f"\ndeploycheck_release = {number}\n")


def break_release(copy: ProjectCopy) -> None:
    """Let the import of the app's module fail at once."""
    module_file(copy).write_text(BROKEN, encoding="utf-8")
