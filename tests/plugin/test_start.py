"""What is seen of a start, where the proxy closes connections at an awkward moment."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest

from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.start import start_and_watch


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
