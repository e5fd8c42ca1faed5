"""Experiments that hurt a stack, or need one of their own. They run in the background, each once, for all checks.

An experiment is a function of a ``Workshop``; it acts, watches, and returns a frozen record. It never judges.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[..., object])


class Lane(enum.Enum):
    """Experiments of one lane run one after the other, the lanes side by side."""

    GENTLE = "on the stack that most checks share, which they must not hurt"
    KILLS = "on the stack whose processes are killed, which is found steady by each"
    STOPS = "on the stack that is stopped and started, which is found steady by each"
    LATE = "on the stack whose database comes up after it, and whose workers then hang"
    RESCALED = "on the stack that has one worker more than the project says"
    ISSUE = "on the stack that gets its certificates from an ACME server, and whose workers then leak"
    OWN = "on stacks of their own, or without any"
    ALONE = "without any stack, for others that wait for it"


def lane(where: Lane, *, brings_stack: bool = False, ends_stack: bool = False) -> Callable[[F], F]:
    """Say where an experiment runs.

    One that ``brings_stack`` starts the one that others of its lane use, and comes first there; one that ``ends_stack``
    leaves none, and comes last.
    """

    def mark(function: F) -> F:
        function.lane, function.turn = where, ends_stack - brings_stack  # type: ignore[attr-defined]
        return function

    return mark


def turn(experiment: Callable[..., object]) -> tuple[int, int]:
    """Return the key by which experiments are sorted: lane by lane, for where one thread has them all."""
    return list(Lane).index(lane_of(experiment)), getattr(experiment, "turn", 0)


def lane_of(experiment: Callable[..., object]) -> Lane:
    """Return where an experiment runs."""
    found: Lane = getattr(experiment, "lane", Lane.OWN)
    return found
