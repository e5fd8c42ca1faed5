"""From pytest's reports to our outcomes, and from outcomes to verdicts."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TypeVar

import pytest

from pytest_deploycheck.charts import to_json
from pytest_deploycheck.check import Check, Concept
from pytest_deploycheck.config import Config
from pytest_deploycheck.masking import all_masked, masked
from pytest_deploycheck.outcome import Note, NotRun, Result, Status
from pytest_deploycheck.report import failure, github
from pytest_deploycheck.report.baseline import Baseline
from pytest_deploycheck.report.document import Report
from pytest_deploycheck.report.log_excerpts import last_lines, telling_lines
from pytest_deploycheck.report.verdicts import Verdict, is_observed, verdict_of
from pytest_deploycheck.stacks.declared import Declared
from pytest_deploycheck.stacks.protocol import Stack, StackError
from pytest_deploycheck.workshop import Workshop

T = TypeVar("T")
BRIEF_LOG_LINES = 3


class Results:
    """The results of one run, in the order of their IDs."""

    def __init__(self, config: Config, declared: Declared | None) -> None:
        self.config = config
        self.parts: dict[str, str] = dict(declared.parts) if declared else {}
        self.relocated: list[str] = declared.read if declared else []
        self.timings: dict[str, object] = {}
        self._results: dict[str, Result] = {}

    def add(self, content: dict[str, object]) -> None:
        """Take in what ``attach`` left on a report, maybe in another process."""
        stack = content.pop("stack")
        assert isinstance(stack, dict)
        if stack:
            self.parts, self.relocated = stack["parts"], stack["relocated"]
        result = Result.from_json(content)
        self._results[result.id] = result

    @property
    def all(self) -> list[Result]:
        """All results, by concept and ID."""
        order = [concept.slug for concept in Concept]
        return sorted(self._results.values(), key=lambda result: (order.index(result.concept), result.id))

    def verdicts(self) -> list[Verdict]:
        """Return the verdict of each concept; ``not_tried`` where no check ran."""
        return [verdict_of(concept, self.all) for concept in Concept]

    def report(self, duration_s: float, baseline: Baseline | None) -> Report:
        """Return all that is known of the run."""
        return Report(
            project=self.config.project,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            version=version("pytest-deploycheck"),
            stack=self.parts,
            workers=self.config.workers,
            domain=self.config.domain,
            duration_s=round(duration_s, 3),
            timings=self.timings,
            relocated=self.relocated,
            checks=self.all,
            changes=baseline.changes(self.all) if baseline else None,
        )

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
    status, seen = _status_of(call)
    broken = stack if status is Status.FAILED else None
    result = Result(
        id=record.id,
        concept=record.concept.slug,
        title=record.title,
        status=status,
        evidence=note.evidence if status is Status.PASSED else None,
        duration_s=round(call.duration, 3),
        detail=seen,
        measurements=note.measurements,
        done=[record.act, *_collected(arguments, "steps", note.steps)],
        expected=record.expect,
        seen=seen,
        state=broken.state() if broken else "",
        log=_log(arguments, stack, status),
        fix=record.fix,
        advice=broken.advice(record.id) if broken else [],
        learn=record.url,
        charts=[to_json(chart) for chart in _collected(arguments, "charts", note.charts)],
    )
    # Plain values: pytest-xdist sends them. Masked before anything is cut or written anywhere.
    content = all_masked(json.loads(json.dumps(asdict(result), default=str)), config)
    judged = _judged(Result.from_json(content), record, config, stack)
    _tell_pytest(report, judged)
    _record_properties(report, item, judged)
    report.deploycheck = {  # type: ignore[attr-defined]
        **content,
        "status": judged.status.value,
        "evidence": judged.evidence.value if judged.evidence else None,
        "detail": judged.detail,
        "stack": all_masked(_stack_record(stack), config),
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


def _collected(arguments: dict[str, object], name: str, of_check: list[T]) -> list[T]:
    """Collect the steps or charts of the experiments that a check got as fixtures, and its own."""
    of_experiments: list[T] = []
    for key, value in arguments.items():
        if key != "note":
            # Of several attempts the last one counts.
            of_experiments += getattr(value[-1] if isinstance(value, list) and value else value, name, ())
    return [*of_experiments, *of_check]


def _log(arguments: dict[str, object], stack: Stack | None, status: Status) -> dict[str, list[str]]:
    """Return the log lines that tell of a failure, or of what an experiment did."""
    if stack and status is Status.FAILED:
        return last_lines(stack)
    told = getattr(arguments.get("experiment"), "log", ())
    lines = told.splitlines() if isinstance(told, str) else list(told)
    return {"new lines meanwhile": telling_lines(lines, stack.config)} if stack and lines else {}


def _judged(result: Result, record: Check, config: Config, stack: Stack | None) -> Result:
    """Return the result as pytest and its readers get it: a failure in full words, maybe waived, maybe a warning."""
    failed = result.status is Status.FAILED
    reason = config.waivers.get(record.id)
    if reason is not None and failed:
        return replace(result, status=Status.WAIVED, detail=f"waived: {reason}")
    if reason is not None and result.status is Status.PASSED:
        said = f"{record.id} passes, but is waived ({reason}): remove it from [tool.deploycheck.waivers]"
        return replace(result, status=Status.FAILED, evidence=None, detail=said)
    if failed:
        log = masked(stack.log_tail(BRIEF_LOG_LINES), config) if stack else ""
        detail = failure.render(result, log)
        result = replace(result, detail=github.harmless(detail) if github.is_running() else detail)
        return replace(result, status=Status.WARNED) if record.should else result
    return result


def _tell_pytest(report: pytest.TestReport, result: Result) -> None:
    if result.status is Status.PASSED:
        return
    if result.status is Status.FAILED:
        report.outcome, report.longrepr, report.when = "failed", result.detail, "call"
        return
    path, line, _ = report.location
    report.outcome, report.longrepr = "skipped", (path, line or 0, f"{result.status}: {result.detail}")


def _record_properties(report: pytest.TestReport, item: pytest.Item, result: Result) -> None:
    """Let JUnit files tell which check a test case is, and what rests on what."""
    properties = {
        "deploycheck_id": result.id,
        "deploycheck_concept": result.concept,
        "deploycheck_status": result.status,
        "deploycheck_evidence": result.evidence or "none",
    }
    item.user_properties += [(name, str(value)) for name, value in properties.items()]
    report.user_properties = list(item.user_properties)


def _stack_record(stack: Stack | None) -> dict[str, object]:
    return {"parts": stack.parts, "relocated": stack.relocated} if stack else {}
