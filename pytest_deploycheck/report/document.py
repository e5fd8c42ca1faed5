"""All that is known of a run: ``report.json``, schema version 1, from which each other report is made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from pytest_deploycheck.check import Concept
from pytest_deploycheck.outcome import Result, Status
from pytest_deploycheck.report.baseline import Changes
from pytest_deploycheck.report.verdicts import Verdict, verdict_of

SCHEMA = 1
NONE = "none"


def in_words(stack: Mapping[str, str]) -> str:
    """Name the parts of a stack that are there."""
    return " + ".join(name for name in stack.values() if name != NONE)


@dataclass(frozen=True, kw_only=True)
class Report:
    """One run of the checks.

    Attributes:
        project: the project's name.
        created_at: when the run ended, in ISO 8601 with UTC.
        version: of the plugin; empty in reports of versions that did not write it.
        stack: names of ``manager``, ``proxy``, ``server`` and ``database``; empty where nothing could be run.
        workers: how many are declared.
        domain: the public name.
        duration_s: of the run.
        timings: where the time went; see ``timings.Clock``.
        relocated: what differs between the project's files and the sandbox, a line each.
        checks: the results, by concept and ID.
        changes: what changed since the baseline; None without one.
    """

    project: str
    created_at: str = ""
    version: str = ""
    stack: dict[str, str] = field(default_factory=dict)
    workers: int | None = None
    domain: str = ""
    duration_s: float
    timings: dict[str, Any] = field(default_factory=dict)
    relocated: list[str] = field(default_factory=list)
    checks: list[Result]
    changes: Changes | None = None

    @cached_property
    def verdicts(self) -> list[Verdict]:
        """What the checks of each concept say together."""
        return [verdict_of(concept, self.checks) for concept in Concept]

    @property
    def covered(self) -> int:
        """How many of the seven concepts are covered."""
        return sum(verdict.verdict == "covered" for verdict in self.verdicts)

    def with_status(self, *statuses: Status) -> list[Result]:
        """Return the results with one of some statuses."""
        return [result for result in self.checks if result.status in statuses]

    @property
    def blocked_by(self) -> dict[str, list[Result]]:
        """Why checks are blocked, each with those that are: often one thing blocks many."""
        found: dict[str, list[Result]] = {}
        for result in self.with_status(Status.BLOCKED):
            found.setdefault(result.seen or result.detail, []).append(result)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return the content of ``report.json``."""
        concepts = [
            {
                "concept": verdict.concept.slug,
                "verdict": verdict.verdict,
                "passed": verdict.passed,
                "total": verdict.total,
            }
            for verdict in self.verdicts
        ]
        return {"schema": SCHEMA, **asdict(self), "concepts": concepts}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Report:
        """Return the report that ``to_json`` has written, in this version or an earlier one."""
        known = {name: content[name] for name in cls.__dataclass_fields__ if name in content}
        changes = known.get("changes")
        return cls(
            **{
                **known,
                "checks": [Result.from_json(check) for check in known["checks"]],
                "changes": Changes(**changes) if changes else None,
            }
        )
