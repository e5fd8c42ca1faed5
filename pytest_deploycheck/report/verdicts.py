"""What the checks of a concept say together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_deploycheck.check import Concept
from pytest_deploycheck.outcome import Evidence, Result, Status


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What all checks of a concept say together: ``covered`` only if each of them was observed, or does not apply."""

    concept: Concept
    verdict: str
    passed: int
    total: int


def verdict_of(concept: Concept, results: Sequence[Result]) -> Verdict:
    """Return the verdict of a concept; ``not_tried`` where no check ran."""
    relevant = [
        result
        for result in results
        if result.concept == concept.slug and result.status not in (Status.NOT_APPLICABLE, Status.WARNED)
    ]
    observed = [result for result in relevant if is_observed(result)]
    if not relevant:
        verdict = "not_tried"
    elif len(observed) == len(relevant):
        verdict = "covered"
    else:
        verdict = "failed" if any(result.status is Status.FAILED for result in relevant) else "not_covered"
    return Verdict(concept=concept, verdict=verdict, passed=len(observed), total=len(relevant))


def is_observed(result: Result) -> bool:
    """Tell whether a check passed because it happened."""
    return result.status is Status.PASSED and result.evidence is Evidence.OBSERVED
