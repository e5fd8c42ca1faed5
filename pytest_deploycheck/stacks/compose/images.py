"""Images are built once for each content: copies of the same files share one, as do starts of the same copy."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Collection
from pathlib import Path

from pytest_deploycheck.sandbox.run import Finished
from pytest_deploycheck.stacks.protocol import StackError

# What no Dockerfile copies that has its wits: secrets, and what the deployment itself writes.
LEFT_OUT = {".venv", ".git", "var", "__pycache__"}


class Images:
    """Which images a run has built."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._built: set[str] = set()

    def build(self, name: str, build: Callable[[], Finished]) -> None:
        """Build an image, if nobody has yet; who else wants it waits.

        Raises:
            StackError: it cannot be built, with the last lines of why.
        """
        with self._lock:
            if name not in self._built:
                done = build()
                if done.status != 0:
                    raise StackError(f"the image cannot be built: {done.tail(3)}")
                self._built.add(name)


def digest(root: Path, *, without: Collection[str]) -> str:
    """Return a name for what the files of a copy hold now, without some of them."""
    found = hashlib.sha256()
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - LEFT_OUT)
        for file in (Path(folder, name) for name in sorted(names)):
            relative = file.relative_to(root).as_posix()
            # What a stack itself has put into its copy is no part of the release.
            if relative not in without and ".deploycheck." not in file.name and file.is_file():
                found.update(f"{relative}\0{file.stat().st_mode}\0".encode() + file.read_bytes() + b"\0")
    return found.hexdigest()[:12]
