"""One request and how it ended."""

from __future__ import annotations

from dataclasses import dataclass


def is_good(status: int | str | None) -> bool:
    """Tell whether a status is 2xx: health may be answered without words, by 204."""
    return isinstance(status, int) and 200 <= status < 300


@dataclass(frozen=True)
class Answer:
    """One timed request: ``status`` is the name of the error where there was no answer; times in seconds."""

    start: float
    end: float
    status: int | str

    @property
    def ok(self) -> bool:
        """Whether it was answered with 2xx."""
        return is_good(self.status)
