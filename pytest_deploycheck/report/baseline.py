"""What changed since an earlier run, of which there is a ``report.json``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pytest_deploycheck.outcome import Result, Status
from pytest_deploycheck.report.verdicts import is_observed

OPTION = "--deploycheck-baseline"
BAD = (Status.FAILED, Status.WARNED, Status.BLOCKED)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is different from a baseline: IDs of checks.

    Attributes:
        baseline: the file that was given.
        newly_failing: they fail, warn or are blocked, and did not.
        newly_passing: they are observed, and were not.
        no_longer_observed: they were observed; now there is no such proof, and no failure either.
        new: the baseline does not know them.
        not_run: the baseline knows them, this run does not.
    """

    baseline: str
    newly_failing: list[str]
    newly_passing: list[str]
    no_longer_observed: list[str]
    new: list[str]
    not_run: list[str]

    @property
    def told(self) -> list[tuple[str, list[str]]]:
        """What there is to tell, each with its IDs."""
        kinds = {
            "newly failing": self.newly_failing,
            "no longer observed": self.no_longer_observed,
            "newly passing": self.newly_passing,
            "new checks": self.new,
            "not run this time": self.not_run,
        }
        return [(name, ids) for name, ids in kinds.items() if ids]


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """The results of an earlier run, by ID."""

    file: str
    results: dict[str, Result]

    def changes(self, now: Iterable[Result]) -> Changes:
        """Compare."""
        before, results = self.results, {result.id: result for result in now}
        both = [(before[check_id], result) for check_id, result in results.items() if check_id in before]
        return Changes(
            baseline=self.file,
            newly_failing=[new.id for old, new in both if new.status in BAD and old.status not in BAD],
            newly_passing=[new.id for old, new in both if is_observed(new) and not is_observed(old)],
            no_longer_observed=[
                new.id
                for old, new in both
                if is_observed(old) and not is_observed(new) and new.status not in BAD
            ],
            new=[check_id for check_id in results if check_id not in before],
            not_run=[check_id for check_id in before if check_id not in results],
        )


def load_baseline(file: str) -> Baseline:
    """Read an earlier ``report.json``.

    Raises:
        pytest.UsageError: it is none, in one line.
    """
    try:
        content = json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise pytest.UsageError(f"{OPTION} {file}: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise pytest.UsageError(f"{OPTION} {file}: no JSON; give the report.json of an earlier run") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != 1 or isinstance(schema, bool):
        said = (
            "no report.json of an earlier run"
            if schema is None
            else f"schema {schema!r} is not known, only 1"
        )
        raise pytest.UsageError(f"{OPTION} {file}: {said}")
    return Baseline(file=file, results={result.id: result for result in _results(file, content)})


def _results(file: str, content: Mapping[str, Any]) -> Iterable[Result]:
    """Read what is compared, and nothing else: later versions may have other fields."""
    names = ("id", "concept", "title", "status", "evidence")
    try:
        return [
            Result.from_json(
                {**{name: check[name] for name in names}, "duration_s": 0, "detail": "", "measurements": {}}
            )
            for check in content["checks"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        said = f"{type(error).__name__}: {error}"
        raise pytest.UsageError(f"{OPTION} {file}: its checks cannot be read ({said})") from None
