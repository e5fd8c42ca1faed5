"""Whether processes work or wait: what can be known of programs that say nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable

import psutil

TICK_S = 0.02
BUSY = (psutil.STATUS_RUNNING, psutil.STATUS_DISK_SLEEP)


class Quiet:
    """Tells for how long processes have used no CPU, and have waited for no disk either."""

    def __init__(self, pids: Callable[[], Iterable[int]]) -> None:
        self._pids = pids
        self._since = time.monotonic()
        self._used_s = 0.0

    def look(self) -> float:
        """Look at the processes; return for how many seconds they have been quiet. Looks must be frequent."""
        used_s, busy = self._work()
        if busy or used_s > self._used_s + TICK_S:
            self._since, self._used_s = time.monotonic(), used_s
        return time.monotonic() - self._since

    def _work(self) -> tuple[float, bool]:
        """Return the CPU time that the processes have used, and whether one of them wants to go on."""
        used_s, busy = 0.0, False
        for pid in self._pids():
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                times = process.cpu_times()
                used_s += times.user + times.system
                busy = busy or process.status() in BUSY
        return used_s, busy
