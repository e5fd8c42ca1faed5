"""Ports for the public entry. A port that somebody else holds is never taken."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import psutil

from pytest_deploycheck.probes.processes import command_line

LOOPBACK = "127.0.0.1"
FIRST_PORT = 21_000
PORTS_PER_WORKER = 400


class PortTaken(Exception):
    """Somebody else listens on a port that this run needs. The message names who."""


class Ports:
    """Hands out ports of a range that belongs to one pytest-xdist worker.

    Other runs on the same machine share the range, so each port is reserved by a name in Linux's abstract socket
    namespace: the kernel lets it go with the process.
    """

    def __init__(self, fixed: tuple[int, ...] = ()) -> None:
        worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
        first = FIRST_PORT + worker % 20 * PORTS_PER_WORKER
        self._free = iter(range(first, first + PORTS_PER_WORKER))
        self._fixed = list(fixed)
        self._lock = threading.Lock()
        self._reservations: list[socket.socket] = []

    def take(self) -> int:
        """Return a port on 127.0.0.1 that nobody listens on.

        Raises:
            PortTaken: a fixed port has a holder, or the whole range has.
        """
        with self._lock:
            return self._next()

    def _next(self) -> int:
        if self._fixed:
            port = self._fixed.pop(0)
            refuse_taken(port)
            return port
        for port in self._free:
            if self._reserve(port) and not is_taken(port):
                return port
        last = FIRST_PORT + 20 * PORTS_PER_WORKER
        raise PortTaken(f"no free port in {FIRST_PORT}-{last}: set [tool.deploycheck] ports")

    def _reserve(self, port: int) -> bool:
        reservation = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            reservation.bind(f"\0deploycheck-port-{port}")
        except OSError:
            reservation.close()
            return False
        self._reservations.append(reservation)
        return True

    def close(self) -> None:
        """Give all reservations back."""
        for reservation in self._reservations:
            reservation.close()


def is_taken(port: int) -> bool:
    """Tell whether anybody listens on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return True
    return False


def refuse_taken(port: int) -> None:
    """Raise PortTaken, with the holder's pid and name, if somebody listens on ``port``."""
    if is_taken(port):
        raise PortTaken(f"port {port} is taken by {holder(port)}: stop it, or set [tool.deploycheck] ports")


def listener(port: int) -> int | None:
    """Return the pid of who listens on a port; None if nobody does, or another user's process."""
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:] == (port,) and connection.pid:
                return int(connection.pid)
    return None


def holder(port: int) -> str:
    """Name who listens on a port, for a message."""
    pid = listener(port)
    return f"pid {pid} ({command_line(pid)[:80]})" if pid else "a process of another user"
