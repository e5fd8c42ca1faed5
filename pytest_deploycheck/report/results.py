"""From pytest's reports to our outcomes, and from outcomes to verdicts."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass

import pytest

from pytest_deploycheck.check import Check, Concept
from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import Evidence, Note, NotRun, Result, Status
from pytest_deploycheck.report import failure
from pytest_deploycheck.stacks.protocol import Stack, StackError
from pytest_deploycheck.workshop import Workshop


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What all checks of a concept say together: ``covered`` only if each of them was observed, or does not apply."""

    concept: Concept
    verdict: str
    passed: int
    total: int


class Results:
    """The results of one run, in the order of their IDs."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.parts: dict[str, str] = {}
        self.relocated: list[str] = []
        self.timings: dict[str, object] = {}
        self._results: dict[str, Result] = {}

    def add(self, content: dict[str, object]) -> None:
        """Take in what ``attach`` left on a report, maybe in another process."""
        stack = content.pop("stack")
        assert isinstance(stack, dict)
        if stack:
            self.parts, self.relocated = stack["parts"], stack["relocated"]
        status, evidence = Status(str(content["status"])), content["evidence"]
        fields = {**content, "status": status, "evidence": Evidence(str(evidence)) if evidence else None}
        result = Result(**fields)  # type: ignore[arg-type]
        self._results[result.id] = result

    @property
    def all(self) -> list[Result]:
        """All results, by concept and ID."""
        order = [concept.slug for concept in Concept]
        return sorted(self._results.values(), key=lambda result: (order.index(result.concept), result.id))

    def verdicts(self) -> list[Verdict]:
        """Return the verdict of each concept; ``not_tried`` where no check ran."""
        return [self._verdict(concept) for concept in Concept]

    def _verdict(self, concept: Concept) -> Verdict:
        relevant = [
            result
            for result in self.all
            if result.concept == concept.slug and result.status not in (Status.NOT_APPLICABLE, Status.WARNED)
        ]
        observed = [result for result in relevant if is_observed(result)]
        if not relevant:
            verdict = "not_tried"
        elif len(observed) == len(relevant):
            verdict = "covered"
        else:
            verdict = (
                "failed" if any(result.status is Status.FAILED for result in relevant) else "not_covered"
            )
        return Verdict(concept=concept, verdict=verdict, passed=len(observed), total=len(relevant))

    def is_bad(self, *, strict: bool) -> bool:
        """Tell whether the run must fail, also though no check failed.

        It must where nothing ran, something was blocked, or, with ``strict``, something was not observed.
        """
        ran = [result for result in self.all if result.status is not Status.NOT_APPLICABLE]
        if not ran or any(result.status in (Status.BLOCKED, Status.FAILED) for result in ran):
            return True
        if strict:
            return not all(is_observed(result) for result in ran)
        return not any(result.status in (Status.PASSED, Status.WARNED) for result in ran)


def is_observed(result: Result) -> bool:
    """Tell whether a check passed because it happened."""
    return result.status is Status.PASSED and result.evidence is Evidence.OBSERVED


def attach(
    report: pytest.TestReport,
    record: Check,
    item: pytest.Item,
    call: pytest.CallInfo[None],
    config: Config,
    workshop: Workshop,
) -> None:
    """Write a check's result on pytest's report of it, and let pytest show our words."""
    if report.when == "teardown" or (report.when == "setup" and report.passed):
        return
    arguments = getattr(item, "funcargs", {})
    note = arguments.get("note", Note())
    stack = getattr(arguments.get("experiment"), "stack", workshop.gentle.current)
    status, detail = _status_of(call)
    if status is Status.FAILED:
        detail = failure.render(record, _steps(arguments, note), detail, stack)
    if record.id in config.waivers:
        status, detail = _waived(record, status, detail, config.waivers[record.id])
    elif record.should and status is Status.FAILED:
        status = Status.WARNED
    _tell_pytest(report, status, detail)
    result = Result(
        id=record.id,
        concept=record.concept.slug,
        title=record.title,
        status=status,
        evidence=note.evidence if status is Status.PASSED else None,
        duration_s=round(call.duration, 3),
        detail=detail,
        measurements=note.measurements,
    )
    report.deploycheck = {  # type: ignore[attr-defined]
        **json.loads(json.dumps(asdict(result), default=str)),  # plain values: pytest-xdist sends them
        "stack": _stack_record(stack),
    }


def result_of(report: pytest.TestReport) -> dict[str, object] | None:
    """Return a copy of what ``attach`` left on a report."""
    content = getattr(report, "deploycheck", None)
    return dict(content) if content else None


def _status_of(call: pytest.CallInfo[None]) -> tuple[Status, str]:
    if call.excinfo is None:
        return Status.PASSED, ""
    error = call.excinfo.value
    if isinstance(error, NotRun):
        return error.status, str(error)
    if isinstance(error, AssertionError):
        return Status.FAILED, re.split(r"\nassert ", str(error))[0]
    if isinstance(error, StackError):
        return Status.FAILED, str(error)
    entry = call.excinfo.traceback[-1]
    return Status.FAILED, f"{type(error).__name__}: {error} (at {entry.path}:{entry.lineno + 1})"


def _steps(arguments: dict[str, object], note: Note) -> list[str]:
    """Collect what was done: by the check, and by the experiments that it got as fixtures."""
    shared = [
        step for value in arguments.values() for step in getattr(value, "steps", ()) if value is not note
    ]
    return [*shared, *note.steps]


def _waived(record: Check, status: Status, detail: str, reason: str) -> tuple[Status, str]:
    if status is Status.FAILED:
        return Status.WAIVED, f"waived: {reason}"
    if status is Status.PASSED:
        return (
            Status.FAILED,
            f"{record.id} passes, but is waived ({reason}): remove it from [tool.deploycheck.waivers]",
        )
    return status, detail


def _tell_pytest(report: pytest.TestReport, status: Status, detail: str) -> None:
    if status is Status.PASSED:
        return
    if status is Status.FAILED:
        report.outcome, report.longrepr, report.when = "failed", detail, "call"
        return
    path, line, _ = report.location
    report.outcome, report.longrepr = "skipped", (path, line or 0, f"{status}: {detail}")


def _stack_record(stack: Stack | None) -> dict[str, object]:
    return {"parts": stack.parts, "relocated": stack.relocated} if stack else {}
