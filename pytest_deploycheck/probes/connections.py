"""Many connections at the same time, and the file descriptors that they need: one for each, in each process."""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from pytest_deploycheck.probes import kernel
from pytest_deploycheck.probes.http import Upstream
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.stacks.protocol import Stack

ANSWER_DEADLINE_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Descriptors:
    """How many files a process has open, how many of them are no sockets, and its soft limit."""

    pid: int
    name: str
    used: int
    own: int
    limit: int


def descriptors(pids: frozenset[int]) -> list[Descriptors]:
    """Ask the kernel for each process that is alive."""
    found = []
    for pid in sorted(pids):
        with contextlib.suppress(PermissionError, *kernel.GONE):
            files = kernel.open_files(pid)
            found.append(
                Descriptors(
                    pid=pid,
                    name=kernel.read(pid, "/proc/{pid}/comm").strip(),
                    used=len(files),
                    own=sum(not name.startswith("socket:") for name in files),
                    limit=kernel.most_open_files(pid),
                )
            )
    return found


@contextlib.contextmanager
def room_for(connections: int) -> Iterator[None]:
    """Let this process have that many connections open, as far as it may, for the length of a ``with`` block."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = soft if soft == resource.RLIM_INFINITY else max(soft, connections + 256)
    resource.setrlimit(
        resource.RLIMIT_NOFILE, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard)
    )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def public_connections(port: int, count: int) -> Iterator[int]:
    """Hold connections to a public port, on which nothing is said; give how many there are."""
    with contextlib.ExitStack() as held:
        opened = 0
        for _ in range(count):
            with contextlib.suppress(OSError):
                held.enter_context(socket.create_connection((LOOPBACK, port), 2.0))
                opened += 1
        yield opened


def answered_at_once(stack: Stack, count: int) -> int:
    """Open connections straight to the app, ask on each once all are open, and return how many were answered.

    Any answer counts: an app that is asked so much at once may say so (RES006).
    """
    request = (
        f"GET {MARK}echo HTTP/1.1\r\nHost: {stack.config.domain}\r\nX-Forwarded-Proto: https\r\n".encode()
    )
    end = time.monotonic() + ANSWER_DEADLINE_S
    with contextlib.ExitStack() as held:
        lines = []
        for _ in range(count):
            with contextlib.suppress(OSError):
                line = held.enter_context(contextlib.closing(connected(stack.upstream)))
                line.sendall(
                    request
                )  # the empty line that ends it is still to come: so they are all open at once
                lines.append(line)
        answered = 0
        for line in lines:
            with contextlib.suppress(OSError):
                line.sendall(b"\r\n")
        for line in lines:
            line.settimeout(max(0.01, end - time.monotonic()))
            with contextlib.suppress(OSError):
                answered += line.recv(64).startswith(b"HTTP/")
    return answered


def connected(upstream: Upstream) -> socket.socket:
    """Return a new connection to the app."""
    if upstream.socket is None:
        host, _, port = upstream.address.rpartition(":")
        return socket.create_connection((host, int(port)), ANSWER_DEADLINE_S)
    end = time.monotonic() + ANSWER_DEADLINE_S
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(ANSWER_DEADLINE_S)
    try:
        # Where too many wait to be accepted, TCP lets one more wait, a unix socket tells (EAGAIN).
        while (error := line.connect_ex(str(upstream.socket))) == errno.EAGAIN and time.monotonic() < end:
            time.sleep(0.005)
        if error:
            raise OSError(error, os.strerror(error))
    except OSError:
        line.close()
        raise
    return line
