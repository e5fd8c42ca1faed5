"""A release that is never ready: what the generated project's own script makes of it, beside Supervisor."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.reader import load
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import start_and_watch
from pytest_deploycheck.workshop import Workshop

RELOAD = "deploy/reload"
READY = 'return {"status": "ready"}'
TRIES = "tries=75"

pytestmark = pytest.mark.slow


@pytest.fixture(params=["gunicorn", "uvicorn"])
def stack(request: pytest.FixtureRequest, baked: Callable[..., Path]) -> Iterator[Stack]:
    """The project, running with all its workers."""
    workshop = Workshop(load(baked(app_server=request.param)))
    try:
        found = workshop.stack()
        assert start_and_watch(found).served
        workers = wait_for(found.processes, lambda now: len(now.workers) == 2, deadline_s=20).workers
        assert len(workers) == 2
        yield found
    finally:
        workshop.close()


def test_one_worker_is_enough_to_see_that_it_is_never_ready(stack: Stack) -> None:
    """The other one stays what it was, and serves; the script says so and fails."""
    _change(stack.copy.root / "src/notes_api/health.py", READY, "raise RuntimeError")
    _change(stack.copy.root / RELOAD, TRIES, "tries=10")
    before = stack.processes().workers
    done = stack.call(RELOAD, timeout_s=60)
    assert done.status == 1, done.output
    assert "is not ready, the others stay: unhealthy: " in done.output
    assert len(before & stack.processes().workers) == 1


def test_without_a_worker_nothing_is_called_done(stack: Stack) -> None:
    """As when the app is stopped."""
    stack.stop_app()
    done = stack.call(RELOAD, timeout_s=60)
    assert done.status == 1, done.output
    assert "no worker is there" in done.output


def _change(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.count(old) == 1
    file.write_text(text.replace(old, new), encoding="utf-8")
