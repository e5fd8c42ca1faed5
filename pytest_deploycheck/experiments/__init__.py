"""Experiments that hurt a stack, or need one of their own. They run in the background, each once, for all checks.

An experiment is a function of a ``Workshop``; it acts, watches, and returns a frozen record. It never judges.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

Experiment = Callable[..., Any]
F = TypeVar("F", bound=Experiment)


class Lane(enum.Enum):
    """Experiments of one lane run one after the other, the lanes side by side."""

    GENTLE = "on the stack that most checks share, which they must not hurt"
    HANGS = "on the stack whose workers hang, and whose server then exits"
    STOPS = "on the stack that is stopped and started, and whose power is then cut"
    LATE = "on the stack whose database comes up after it, whose processes are killed, and which gets a new release"
    RESCALED = (
        "on the stack that has one worker more than the project says, and where a broken release comes last"
    )
    ISSUE = "on the stack that gets its certificates from an ACME server, and whose workers then leak"
    OWN = "on stacks of their own, or without any"
    ALONE = "without any stack, for others that wait for it"


def lane(
    where: Lane,
    *,
    brings_stack: bool = False,
    ends_stack: bool = False,
    ends_calmly: bool = False,
    uses: tuple[Experiment, ...] = (),
) -> Callable[[F], F]:
    """Say where an experiment runs.

    Args:
        where: the lane.
        brings_stack: it starts the stack that others of its lane use, and comes first there.
        ends_stack: it leaves none, and comes last.
        ends_calmly: in the end it only watches, and says so (``Workshop.calm_down``); it comes last too.
        uses: other experiments, whose results it asks for.
    """

    def mark(function: F) -> F:
        function.lane, function.ends_calmly, function.uses = where, ends_calmly, uses  # type: ignore[attr-defined]
        function.turn = (ends_stack or ends_calmly) - brings_stack  # type: ignore[attr-defined]
        return function

    return mark


def with_used(experiments: Iterable[Experiment]) -> list[Experiment]:
    """Return experiments and those that they use, each once, in the order in which lanes take them."""
    found: dict[Experiment, None] = {}
    for experiment in experiments:
        found |= dict.fromkeys([*with_used(getattr(experiment, "uses", ())), experiment])
    return sorted(found, key=_turn)


def _turn(experiment: Experiment) -> tuple[int, int]:
    """Return the key by which experiments are sorted: lane by lane, for where one thread has them all."""
    return list(Lane).index(lane_of(experiment)), getattr(experiment, "turn", 0)


def ends_calmly(experiment: Experiment) -> bool:
    """Tell whether checks that need quiet need not wait for the end of an experiment."""
    return getattr(experiment, "ends_calmly", False)


def lane_of(experiment: Experiment) -> Lane:
    """Return where an experiment runs."""
    found: Lane = getattr(experiment, "lane", Lane.OWN)
    return found
