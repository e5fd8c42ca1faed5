"""What is written to a stack's logs from a moment on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path


class NewLines:
    """The lines that appear in some files after this was made."""

    def __init__(self, files: Callable[[], Iterable[Path]]) -> None:
        self._files = files
        self._sizes = {file: file.stat().st_size for file in files()}

    def read(self) -> tuple[str, ...]:
        """Return them up to now; a file that has become shorter was rotated and is read from its beginning."""
        lines: list[str] = []
        for file in self._files():
            content, size = file.read_bytes(), self._sizes.get(file, 0)
            new = content[size:] if len(content) >= size else content
            lines += new.decode(errors="replace").splitlines()
        return tuple(lines)
