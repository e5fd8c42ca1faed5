"""Doing something again and again in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self


class Repeated:
    """Each action is done again and again in a thread of its own, for the length of a ``with`` block.

    The threads are daemons: Python does not wait for them when a run is interrupted.
    """

    def __init__(self, actions: Sequence[Callable[[], object]], *, pause_s: float) -> None:
        self._pause_s = pause_s
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._repeat, args=(action,), name="repeated", daemon=True)
            for action in actions
        ]

    def _repeat(self, action: Callable[[], object]) -> None:
        while not self._stop.is_set():
            action()
            self._stop.wait(self._pause_s)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
