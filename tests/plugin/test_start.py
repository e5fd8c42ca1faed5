"""What is seen of a start, and how much patience with the stack follows from it."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import cast

import pytest

from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import RECOVERY_DEADLINE_S, Start, start_and_watch


def test_who_is_ready_lives_though_the_proxy_closes_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that takes over its first certificate answers one request, and may close the next few connections."""
    statuses = iter(
        ["RemoteProtocolError", "RemoteProtocolError", 200, "SSLError", "SSLError", "SSLError", 200]
    )
    asked: list[str] = []

    def ask(path: str, **_: float) -> Answer:
        asked.append(path)
        return Answer(time.monotonic(), time.monotonic(), next(statuses))

    stack = SimpleNamespace(
        start_deadline_s=10.0,
        prepare=lambda _: None,
        start=lambda *_, **__: SimpleNamespace(poll=lambda: None),
        has_given_up=lambda: False,
        log_tail=lambda: "",
        proxy_pids=set,
        config=SimpleNamespace(
            requests=SimpleNamespace(ready="/ready", live="/live", read="/notes"), database_url=None
        ),
        entry=SimpleNamespace(ask=ask, status=lambda _: 200, https_port=443),
        copy=SimpleNamespace(run=SimpleNamespace(tagged_pids=lambda: {os.getpid()})),
    )
    monkeypatch.setattr("pytest_deploycheck.start.listener", lambda _: os.getpid())
    start = start_and_watch(stack)  # type: ignore[arg-type]
    assert asked == ["/ready", "/live", "/ready", "/live", "/live", "/live", "/live"]
    assert start.alive_s is not None
    assert start.ready_s is not None
    assert start.ready_s < start.alive_s


@pytest.mark.parametrize(
    ("ready_s", "held_up_s", "patience_s"),
    [
        (4.0, 0.0, 20.0),
        (2.0, 0.0, RECOVERY_DEADLINE_S),
        (9.0, 5.0, 20.0),
        (4.0, 5.0, 20.0),
        (None, 0.0, RECOVERY_DEADLINE_S),
    ],
    ids=["slow", "quick", "held up for five seconds", "up beside what it was to wait for", "never up"],
)
def test_time_in_which_it_was_held_up_is_no_reason_for_patience(
    ready_s: float | None, held_up_s: float, patience_s: float
) -> None:
    """Who was kept waiting for its database, or by a long migration, is no slower for that."""
    start = Start(
        stack=cast("Stack", None),
        began=0.0,
        alive_s=ready_s,
        ready_s=ready_s,
        read_when_ready=None,
        version_when_alive=None,
        version_when_ready=None,
        exit_status=None,
        log="",
        asked={},
        held_up_s=held_up_s,
    )
    assert start.patience_s == patience_s
