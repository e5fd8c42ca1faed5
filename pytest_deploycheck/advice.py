"""Where in the project's own files a failed check is usually mended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Advice:
    """How one part of a stack is mended. ``file`` is relative to the project; ``line`` is None where not known."""

    file: str
    line: int | None
    text: str

    def at(self, file: str) -> Advice:
        """Return the same for another file."""
        return replace(self, file=file, line=None)

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}  {self.text}"


def found_in(
    check_id: str, own: Mapping[str, tuple[str, int | None, str]], *parts: Mapping[str, Advice]
) -> list[Advice]:
    """Return what is known of a check: first by who manages the deployment, then by its parts."""
    first = [Advice(*own[check_id])] if check_id in own else []
    return [*first, *(part[check_id] for part in parts if check_id in part)]
