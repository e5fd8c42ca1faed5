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
        self._jobs: queue.SimpleQueue[tuple[str, Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, name: str, job: Callable[[], Any]) -> Future[Any]:
        """Put a job at the end of the queue; one that comes from a job is done at once, which may wait for it."""
        future: Future[Any] = Future()
        if threading.current_thread() is self._thread:
            self._do(name, future, job)
        else:
            self._jobs.put((name, future, job))
        return future

    def _work(self) -> None:
        while True:
            self._do(*self._jobs.get())

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
