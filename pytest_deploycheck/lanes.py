"""Work in the background: one thread per lane, which takes one job after the other."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class LaneThread:
    """A daemon thread with a queue.

    ``busy_s`` is how long each job took, in seconds.

    Not a ThreadPoolExecutor: Python waits for the threads of one at its end, so Ctrl-C would wait for experiments.
    """

    def __init__(self, name: str) -> None:
        self.busy_s: dict[str, float] = {}
        self._left, self._is_calm, self._changed = 0, False, threading.Condition()
        self._jobs: queue.SimpleQueue[tuple[str, Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, name: str, job: Callable[[], Any]) -> Future[Any]:
        """Put a job at the end of the queue; one that comes from a job is done at once, which may wait for it."""
        future: Future[Any] = Future()
        if threading.current_thread() is self._thread:
            self._do(name, future, job)
        else:
            with self._changed:
                self._left += 1
            self._jobs.put((name, future, job))
        return future

    def calm_down(self) -> None:
        """Note that the job of this lane that calls it hardly uses the CPU any more; it says nothing of other lanes."""
        if threading.current_thread() is self._thread:
            with self._changed:
                self._is_calm = True
                self._changed.notify_all()

    def wait_for_quiet(self) -> None:
        """Wait until all jobs are done, or only the last of them is left, and that is calm."""
        with self._changed:
            self._changed.wait_for(lambda: self._left <= self._is_calm)

    def _work(self) -> None:
        while True:
            self._do(*self._jobs.get())
            with self._changed:
                self._left, self._is_calm = self._left - 1, False
                self._changed.notify_all()

    def _do(self, name: str, future: Future[Any], job: Callable[[], Any]) -> None:
        began = time.monotonic()
        try:
            result = job()
        except BaseException as error:  # noqa: BLE001  (raised again for whoever asks for the result)
            self.busy_s[name] = time.monotonic() - began
            future.set_exception(error)
        else:
            self.busy_s[name] = time.monotonic() - began
            future.set_result(result)
