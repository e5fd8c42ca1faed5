"""What the process with the checks says to the one that reports."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Begun:
    """It has parted with all that two processes must not share."""


@dataclass(frozen=True)
class Collected:
    """So many checks will be made."""

    count: int


@dataclass(frozen=True)
class Call:
    """A call of a hook of pytest, and its arguments; a report is one that pytest has made plain data of."""

    hook: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class Called:
    """These hooks were called; all calls for one check come together."""

    calls: list[Call]


@dataclass(frozen=True)
class Over:
    """All is done, and nothing runs any more; ``error`` is what ended it early."""

    timings: dict[str, object] = field(default_factory=dict)
    error: BaseException | None = None


Message = Begun | Collected | Called | Over
