"""Experiments in their lanes, and threads that take one job after the other."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from pytest_deploycheck.check import Check
from pytest_deploycheck.config import Config
from pytest_deploycheck.experiments import Lane, lane, with_used
from pytest_deploycheck.lanes import LaneThread
from pytest_deploycheck.stacks.protocol import Stack, StackError
from pytest_deploycheck.steady import SteadyStack
from pytest_deploycheck.workshop import Workshop

TIMEOUT_S = 10


def test_jobs_are_done_in_order_by_one_thread() -> None:
    """What is submitted meanwhile waits; an error is raised for whoever asks for the result."""
    lane, gate, done = LaneThread("test"), threading.Event(), list[str]()

    def first() -> bool:
        gate.wait(TIMEOUT_S)
        done.append("first")
        return True

    def second() -> int:
        done.append("second")
        return threading.get_ident()

    jobs = lane.submit("first", first), lane.submit("second", second), lane.submit("wrong", lambda: 1 // 0)
    gate.set()
    assert jobs[0].result(TIMEOUT_S)
    assert jobs[1].result(TIMEOUT_S) != threading.get_ident()
    assert done == ["first", "second"]
    with pytest.raises(ZeroDivisionError):
        jobs[2].result(TIMEOUT_S)
    assert lane.busy_s.keys() == {"first", "second", "wrong"}


def test_job_may_wait_for_one_that_it_submits_to_its_own_lane() -> None:
    """In a cluster all experiments share a lane, and one of them asks for the result of another."""
    lane = LaneThread("test")
    outer = lane.submit("outer", lambda: lane.submit("inner", lambda: "found").result())
    assert outer.result(TIMEOUT_S) == "found"


def test_lane_is_quiet_when_its_last_job_is_calm_or_done() -> None:
    """A job that calms down while others come after it makes no quiet, nor does what another lane says of itself."""
    lane, other, gates = LaneThread("test"), LaneThread("other"), [threading.Event() for _ in range(3)]

    def calm() -> None:
        lane.calm_down()
        gates[0].wait(TIMEOUT_S)

    def work() -> None:
        gates[1].wait(TIMEOUT_S)
        lane.calm_down()
        gates[2].wait(TIMEOUT_S)

    def is_quiet() -> bool:
        waits = threading.Thread(target=lane.wait_for_quiet, daemon=True)
        waits.start()
        waits.join(0.1)
        return not waits.is_alive()

    assert is_quiet()
    first, last = lane.submit("calm", calm), lane.submit("work", work)
    assert not is_quiet()
    gates[0].set()
    first.result(TIMEOUT_S)
    other.submit("other", lane.calm_down).result(TIMEOUT_S)
    assert not is_quiet()
    gates[1].set()
    lane.wait_for_quiet()
    assert not last.done()
    gates[2].set()
    last.result(TIMEOUT_S)
    assert is_quiet()


def test_experiments_come_lane_by_lane_with_those_that_they_use() -> None:
    """Each once: first who brings the lane's stack, then who is used by another, last who ends calmly, or ends it."""

    @lane(Lane.STOPS)
    def used(_: Workshop) -> None: ...

    @lane(Lane.STOPS, ends_calmly=True, uses=(used,))
    def calm(_: Workshop) -> None: ...

    @lane(Lane.STOPS, brings_stack=True)
    def brings(_: Workshop) -> None: ...

    @lane(Lane.HANGS, uses=(used,))
    def hangs(_: Workshop) -> None: ...

    assert with_used([calm, brings, hangs]) == [hangs, brings, used, calm]


def test_stacks_of_two_lanes_start_side_by_side() -> None:
    """Each start here waits for the other one."""
    both = threading.Barrier(2)

    def make() -> Stack:
        both.wait(TIMEOUT_S)
        raise StackError("both have begun")

    starts = [LaneThread("test").submit("start", lambda: SteadyStack(make).first_start) for _ in range(2)]
    assert [str(start.result(TIMEOUT_S)) for start in starts] == ["both have begun"] * 2


def test_lanes_wait_for_no_stack_that_nobody_starts() -> None:
    """Where no check needs the gentle stack, nobody leaves the CPU to its start."""
    began = threading.Event()

    @lane(Lane.OWN)
    def work(_: Workshop) -> None:
        began.set()

    workshop = Workshop(cast("Config", SimpleNamespace(cluster=False)))
    workshop.__dict__["run"] = None
    workshop.begin([_check(work)])
    assert began.wait(TIMEOUT_S)


def _check(experiment: Callable[[Workshop], Any]) -> Check:
    return Check(
        id="RST000",
        title="",
        expect="",
        fix="",
        function=experiment,
        experiment=experiment,
        should=False,
    )
