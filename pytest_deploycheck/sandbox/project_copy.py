"""The copy of the project that runs, so that the user's own files are never touched."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pathspec import GitIgnoreSpec

# Folders, or links to folders.
ALWAYS_LEFT_OUT = (".git", ".venv", "venv", "__pycache__", "node_modules", ".*_cache", ".tox", ".nox")


def copy_project(root: Path, into: Path, *, also: Iterable[str]) -> None:
    """Copy what git would track, and some files that it ignores; link the virtual environment.

    Args:
        root: the project.
        into: the new folder.
        also: copied although git ignores them, if they exist; relative to the project.
    """
    ignore = root / ".gitignore"
    ignored = GitIgnoreSpec.from_lines([*_patterns(ignore), *ALWAYS_LEFT_OUT])
    into.mkdir(parents=True)
    into.chmod(0o755)  # as a clone has it; the folder around it is private
    for path in _files(root, root, ignored):
        target = into / path.relative_to(root)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)
    for file in also:
        if (root / file).is_file():
            (into / file).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (into / file).unlink(missing_ok=True)  # a link would lead to the project's own
            shutil.copy2(root / file, into / file)
    environment = next(
        (root / name for name in (".venv", "venv") if (root / name).is_dir()), Path(sys.prefix)
    )
    (into / ".venv").symlink_to(environment.resolve())


def _patterns(file: Path) -> Iterator[str]:
    """Yield the lines of a ``.gitignore``; those that are no pattern are skipped, as git does."""
    text = file.read_bytes().decode(errors="surrogateescape") if file.is_file() else ""
    for line in text.split("\n"):
        try:
            GitIgnoreSpec.from_lines([line])
        except ValueError:
            continue
        yield line


def _files(root: Path, folder: Path, ignored: GitIgnoreSpec) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        relative = path.relative_to(root).as_posix()
        if entry.is_dir(follow_symlinks=False):
            if not ignored.match_file(relative + "/"):
                yield from _files(root, path, ignored)
        elif not ignored.match_file(relative) and (entry.is_file() or entry.is_symlink()):
            yield path


def editable_origin(project: str) -> Path | None:
    """Return the folder that an editable install of the project points to (PEP 610), None if there is none."""
    try:
        text = metadata.distribution(project).read_text("direct_url.json") or "{}"
    except metadata.PackageNotFoundError:
        return None
    record = json.loads(text)
    if not record.get("dir_info", {}).get("editable"):
        return None
    return Path(unquote(urlsplit(record["url"]).path))
