"""Which processes answer: told by the probe inside them."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import httpx2

from pytest_deploycheck.probes.http import Entry
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK, PID_HEADER

HOLD_S = 0.02
AT_ONCE = 12
LAST_ROUNDS = 2


def answering(entry: Entry, *, wanted: int, deadline_s: float) -> Counter[int]:
    """Send many requests at once, each over a new connection, and count the answers of each process.

    It goes on until ``wanted`` processes have answered, or the deadline has passed, and then a little longer: there
    may be more of them. Each request is held for a moment, so that one quick process cannot answer all of them.
    """
    seen: Counter[int] = Counter()
    end = time.monotonic() + deadline_s
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="answering") as pool:

        def one_round() -> None:
            for pid in pool.map(lambda _: _answered_by(entry), range(max(AT_ONCE, 4 * wanted))):
                seen.update([] if pid is None else [pid])

        while len(seen) < wanted and time.monotonic() < end:
            one_round()
        for _ in range(LAST_ROUNDS):
            one_round()
    return seen


def _answered_by(entry: Entry) -> int | None:
    try:
        response = entry.get(f"{MARK}hold?seconds={HOLD_S}")
        return int(response.json()["pid"]) if response.is_success else None
    except (httpx2.TransportError, ValueError):
        return None


def signature(response: httpx2.Response) -> int | None:
    """Return the pid of the process that made an ordinary response; None if a middleware of the app made it."""
    value = response.headers.get(PID_HEADER, "")
    return int(value) if value.isdecimal() else None
