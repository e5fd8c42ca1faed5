"""Waiting for an event, with a deadline."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    look: Callable[[], T], until: Callable[[T], object], *, deadline_s: float, every_s: float = 0.1
) -> T:
    """Look until what is seen satisfies ``until``; after ``deadline_s`` seconds return what was seen last.

    It never fails: the check that asked says what it saw.
    """
    end = time.monotonic() + deadline_s
    while True:
        seen = look()
        if until(seen) or time.monotonic() >= end:
            return seen
        time.sleep(every_s)
