"""How a check can end, and what it says about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field


class Status(enum.StrEnum):
    """The outcome of a check; only PASSED is good."""

    PASSED = "passed"
    FAILED = "failed"
    WARNED = "warned"  # a check marked ``should`` failed
    BLOCKED = "blocked"
    NOT_VERIFIED = "not_verified"
    WAIVED = "waived"
    NOT_APPLICABLE = "not_applicable"


class Evidence(enum.StrEnum):
    """What a passed check rests on: it happened, or a configuration file says that it would."""

    OBSERVED = "observed"
    DECLARED = "declared"


class NotRun(Exception):
    """A check that came to no verdict of its own. Subclasses say why."""

    status: Status


class Blocked(NotRun):
    """A prerequisite failed, for example: the stack does not start."""

    status = Status.BLOCKED


class NotVerified(NotRun):
    """This machine cannot tell: a tool is missing. The message names it and how to install it."""

    status = Status.NOT_VERIFIED


class NotApplicable(NotRun):
    """The project does not have the thing, for example: no database is declared."""

    status = Status.NOT_APPLICABLE


@dataclass
class Note:
    """What one check writes down while it works: the fixture ``note``."""

    steps: list[str] = field(default_factory=list)
    measurements: dict[str, object] = field(default_factory=dict)
    evidence: Evidence = Evidence.OBSERVED

    def did(self, *steps: str) -> None:
        """Add steps to "what was done" in the failure message and in the report."""
        self.steps += steps

    def measured(self, **values: object) -> None:
        """Add measurements (JSON values; the unit belongs into the name: ``gap_s``, ``rss_bytes``)."""
        self.measurements.update(values)


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of one check, as it stands in the report."""

    id: str
    concept: str
    title: str
    status: Status
    evidence: Evidence | None
    duration_s: float
    detail: str
    measurements: dict[str, object]
