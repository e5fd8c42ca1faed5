"""A stack that checks and experiments share."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pytest_deploycheck.outcome import Blocked
from pytest_deploycheck.probes.answer import is_good
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.stacks.protocol import Stack, StackError
from pytest_deploycheck.start import Start, start_and_watch


class SteadyStack:
    """A stack that is found in its steady state by each who asks for it, whatever the one before did to it.

    Checks and an experiment may ask at the same time: one of them waits for the other.
    """

    def __init__(self, make: Callable[[], Stack]) -> None:
        self._make = make
        self._first_start: Start | StackError | None = None
        self._usual_workers: int | None = None
        self.current: Stack | None = None
        self.was_started = threading.Event()
        self._lock = threading.RLock()

    @property
    def first_start(self) -> Start | StackError:
        """What was seen at its first start, on an empty database; an error if its files cannot be run at all.

        No ``cached_property``: before Python 3.12 one of them blocks those of all other stacks too.
        """
        with self._lock:
            try:
                self._first_start = self._first_start or self._start()
                return self._first_start
            finally:
                self.was_started.set()

    @property
    def start_so_far(self) -> Start | None:
        """What is known of the first start, for who must neither wait for it nor begin it."""
        return self._first_start if isinstance(self._first_start, Start) else None

    def _start(self) -> Start | StackError:
        try:
            self.current = self._make()
            return start_and_watch(self.current)
        except StackError as error:
            return error

    def adopt(self, start: Start) -> None:
        """Take over a stack that an experiment has started and needs no more; its start is then the first one.

        One that does not serve is ended, and who asks gets a new one.
        """
        if not start.served:
            start.stack.end()
            return
        with self._lock:
            self.end()
            self._first_start = start
            self.current = start.stack

    def end(self) -> None:
        """End the stack; who asks after that gets a new one."""
        with self._lock:
            if self.current is not None:
                self.current.end()
                self.current = None

    def steady(self, *, ask_manager: bool = False) -> Stack:
        """Return the stack, running with all workers; start a new one if it does not come back by itself.

        Args:
            ask_manager: steady only when the manager says that all runs, which can take it some seconds.

        Raises:
            Blocked: it does not start.
        """
        with self._lock:
            if isinstance(self.first_start, StackError):
                raise Blocked(f"the stack cannot be run (see BOOT002): {self.first_start}")
            self.first_start.must_serve()
            if self._usual_workers is None:
                self._settle(self.first_start.stack, ask_manager=ask_manager)
            elif self.current is None or not self._comes_back(ask_manager=ask_manager):
                self._replace(ask_manager=ask_manager)
            assert self.current is not None
            return self.current

    def _settle(self, stack: Stack, *, ask_manager: bool) -> None:
        """Wait for all workers after the first start; where fewer come than promised (REP001), those are usual."""
        self._usual_workers = stack.config.workers
        if not self._comes_back(ask_manager=ask_manager):
            self._usual_workers = min(stack.config.workers, len(stack.processes().workers))

    def _replace(self, *, ask_manager: bool) -> None:
        self.end()
        stack = self._make()
        start = start_and_watch(stack)
        if not start.served:
            raise Blocked(f"the stack does not start again: {start.describe()}")
        self.current = stack
        self._comes_back(ask_manager=ask_manager)

    @property
    def patience_s(self) -> float:
        """How long to wait for this stack to recover from a blow, in seconds."""
        assert isinstance(self.first_start, Start)
        return self.first_start.patience_s

    def _comes_back(self, *, ask_manager: bool) -> bool:
        """Tell whether it is steady in the end; it is not where it has ended, and no manager could start it again."""
        stack = self.current
        assert stack is not None

        def look() -> tuple[bool, bool]:
            now = stack.processes()
            is_final = not now.manager and stack.has_given_up()
            is_steady = (
                len(now.workers) >= (self._usual_workers or 0)
                and (not ask_manager or stack.is_running())
                and is_good(stack.entry.status(stack.config.requests.ready, timeout_s=2))
            )
            return is_steady, is_final

        is_steady, is_final = wait_for(look, any, deadline_s=self.patience_s)
        return is_steady and not is_final
