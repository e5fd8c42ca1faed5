"""How a check can end, and what it says about it."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.charts import Chart


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
    charts: list[Chart] = field(default_factory=list)
    evidence: Evidence = Evidence.OBSERVED

    def did(self, *steps: str) -> None:
        """Add steps to "what was done" in the failure message and in the report."""
        self.steps += steps

    def measured(self, **values: object) -> None:
        """Add measurements (JSON values; the unit belongs into the name: ``gap_s``, ``rss_bytes``)."""
        self.measurements.update(values)

    def drew(self, *charts: Chart) -> None:
        """Add charts, beside those of the check's experiment."""
        self.charts += charts


@dataclass(frozen=True, kw_only=True)
class Result:
    """The outcome of one check, as it stands in the report.

    Attributes:
        detail: the whole failure message, or the reason why there is no verdict.
        done: what was done to the stack.
        expected: what had to be seen.
        seen: what was seen instead; empty where it was what was expected.
        state: what the process manager said after a failure.
        log: by file, the last lines after a failure, or those that tell what happened.
        fix: how a failure is mended in any project.
        advice: where in this project a failure is usually mended.
        learn: the paragraph of the course.
        charts: see ``charts.to_json``.
    """

    id: str
    concept: str
    title: str
    status: Status
    evidence: Evidence | None
    duration_s: float
    detail: str
    measurements: dict[str, object]
    done: list[str] = field(default_factory=list)
    expected: str = ""
    seen: str = ""
    state: str = ""
    log: dict[str, list[str]] = field(default_factory=dict)
    fix: str = ""
    advice: list[Advice] = field(default_factory=list)
    learn: str = ""
    charts: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Result:
        """Return the result of which this is ``asdict``, also one of an older version with fewer fields."""
        known = {name: content[name] for name in cls.__dataclass_fields__ if name in content}
        evidence = known["evidence"]
        return cls(
            **{
                **known,
                "status": Status(known["status"]),
                "evidence": Evidence(evidence) if evidence else None,
                "advice": [Advice(**advice) for advice in known.get("advice", ())],
            }
        )
