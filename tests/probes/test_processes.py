"""Which processes belong to a tree."""

from __future__ import annotations

import os
import signal
import subprocess

from pytest_deploycheck.probes.processes import alive, with_descendants
from pytest_deploycheck.probes.wait import wait_for


def test_a_tree_has_all_that_was_started_below_it() -> None:
    """Children and grandchildren count, and nobody who ran before or beside them."""
    beside = subprocess.Popen(["sleep", "60"])
    tree = subprocess.Popen(["sh", "-c", "sh -c 'sleep 60 & wait' & wait"], start_new_session=True)
    try:
        found = wait_for(lambda: with_descendants({tree.pid}), lambda pids: len(pids) == 3, deadline_s=10)
        assert len(found) == 3
        assert tree.pid in found
        assert not found & {beside.pid, os.getpid(), os.getppid(), 1}
    finally:
        os.killpg(tree.pid, signal.SIGKILL)
        beside.kill()
        tree.wait()
        beside.wait()
    left = wait_for(lambda: alive(found), lambda pids: not pids, deadline_s=10)
    assert not left
    assert not with_descendants({tree.pid})
