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
    LATE = "on the stack whose database comes up after it, which then gets a new release"
    ISSUE = "on the stack that gets its certificates from an ACME server, and whose workers then leak"
    OWN = "on stacks of their own"
    ALONE = "without any stack"


def lane(where: Lane, *, ends_stack: bool = False) -> Callable[[F], F]:
    """Say where an experiment runs; one that ``ends_stack`` leaves none, and comes last in its lane."""

    def mark(function: F) -> F:
        function.lane, function.ends_stack = where, ends_stack  # type: ignore[attr-defined]
        return function

    return mark


def comes_last(experiment: Callable[..., object]) -> bool:
    """Tell whether no other experiment finds its lane's stack after this one."""
    return bool(getattr(experiment, "ends_stack", False))


def lane_of(experiment: Callable[..., object]) -> Lane:
    """Return where an experiment runs."""
    found: Lane = getattr(experiment, "lane", Lane.OWN)
    return found
