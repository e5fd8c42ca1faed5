"""Signals that this process was started to ignore, as by ``nohup``, or by ``&`` in a script."""

from __future__ import annotations

import signal
import threading

CAN_BE_IGNORED = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)


def keep_to_oneself() -> None:
    """Go on ignoring them, but let what is started heed them: production's start does not know this shell.

    A program that is started ignores what its parent ignores; what its parent handles, it does not (execve(2)). Only
    the main thread can set this; elsewhere nothing happens.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    for number in CAN_BE_IGNORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)
