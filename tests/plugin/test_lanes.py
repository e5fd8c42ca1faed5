"""Threads that take one job after the other."""

from __future__ import annotations

import threading

import pytest

from pytest_deploycheck.lanes import LaneThread

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
