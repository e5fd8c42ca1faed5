"""Hundreds of large bodies at once, which cost whoever sends them nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from pytest_deploycheck.probes.slow import Manner, SlowCrowd
from pytest_deploycheck.stacks.protocol import Stack

pytestmark = pytest.mark.slow

BODIES, CROWDS, VISITS = 200, 8, 20
SIZE = 4 << 20


@pytest.fixture
def room_mb(request: pytest.FixtureRequest, baked: Callable[..., Path]) -> int:
    """How much memory the proxy's container has, without what files in memory may take of it."""
    project = baked(
        app_server="gunicorn", process_manager="compose", https_proxy=request.node.callspec.params["stack"]
    )
    file = YAML(typ="safe", pure=True).load((project / "compose.yaml").read_text(encoding="utf-8"))
    proxy = file["services"]["proxy"]
    in_files = sum(map(int, re.findall(r":size=(\d+)m", " ".join(proxy["tmpfs"]))))
    return int(proxy["mem_limit"].removesuffix("m")) - in_files


def test_hundreds_of_bodies_are_borne(stack: Stack, room_mb: int) -> None:
    """Of 200 bodies all but the last byte comes: the proxy lives, has room for them, and serves others."""
    entry, proxy = stack.entry, stack.proxy_pids()
    head = f"POST {entry.prefix}/notes HTTP/1.1\r\nHost: {entry.domain}\r\nContent-Length: {SIZE}\r\n\r\n"
    most = Manner(
        name="body",
        host=entry.domain,
        port=entry.https_port,
        tls=True,
        first=head.encode() + b"x" * (SIZE - 1),
        then=b"x",
    )
    with ExitStack() as senders, ThreadPoolExecutor(CROWDS) as pool:
        crowds = [SlowCrowd({most: BODIES // CROWDS}) for _ in range(CROWDS)]
        list(pool.map(senders.enter_context, crowds))
        statuses = [entry.status("/notes") for _ in range(VISITS)]
    assert set(statuses) == {200}
    assert stack.proxy_pids() == proxy
    assert _peak_mb(proxy) < room_mb


def _peak_mb(pids: frozenset[int]) -> float:
    """Return what processes have had in memory at most."""
    lines = [Path(f"/proc/{pid}/status").read_text(encoding="utf-8") for pid in pids]
    return sum(int(kib) for text in lines for kib in re.findall(r"VmHWM:\s+(\d+) kB", text)) / 1024
