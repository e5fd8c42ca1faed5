"""Signals to this process: those that it was started to ignore, and those that have to wait a moment."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

CAN_BE_IGNORED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def keep_to_oneself() -> None:
    """Go on ignoring what ``nohup``, or ``&`` in a script, lets this process ignore, but let what is started heed it.

    Production's start does not know this shell. A program that is started ignores what its parent ignores; what its
    parent handles, it does not (execve(2)). Only the main thread can set this; elsewhere nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in CAN_BE_IGNORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let signals that end a run wait; for the moment in which there is one thread only."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
