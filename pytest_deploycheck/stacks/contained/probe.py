"""What asks a container how it is, as kubelet and platforms do: never for long, for others must not wait for it.

On the standard library only: it is part of the process that stands for them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import subprocess
import time
from typing import Any

GOOD = range(200, 400)


class Probe:
    """One of a container's probes.

    Args:
        terms: ``port`` of this machine; ``path`` to ask by HTTP, ``command`` to run, neither to connect only;
            ``delay_s``, ``period_s`` and ``timeout_s`` in seconds; ``failures`` and ``successes`` in a row that count.
    """

    def __init__(self, terms: dict[str, Any]) -> None:
        self.terms = terms
        self.began = time.monotonic()
        self.next = self.began + terms["delay_s"]
        self.failures = self.successes = 0
        self.said = "not asked yet"
        self._asking: _Connection | _Command | None = None

    @property
    def is_good(self) -> bool:
        """Whether it has succeeded often enough in a row."""
        return self.successes >= int(self.terms["successes"])

    @property
    def has_failed(self) -> bool:
        """Whether it has failed often enough in a row."""
        return self.failures >= int(self.terms["failures"])

    def look(self) -> None:
        """Ask when it is time, and take the answer when it is there."""
        now = time.monotonic()
        if self._asking is None:
            if now >= self.next:
                self.next = now + self.terms["period_s"]
                self._asking = _Command(self.terms) if self.terms["command"] else _Connection(self.terms)
                self._until = now + self.terms["timeout_s"]
            return
        answer = self._asking.answer()
        if answer is None and now > self._until:
            answer = False, f"no answer within {self.terms['timeout_s']} s"
        if answer is None:
            return
        good, self.said = answer
        self.failures, self.successes = (0, self.successes + 1) if good else (self.failures + 1, 0)
        self.close()

    def close(self) -> None:
        """Ask no more."""
        if self._asking:
            self._asking.close()
            self._asking = None


class _Connection:
    """A connection, and a request where there is a path."""

    def __init__(self, terms: dict[str, Any]) -> None:
        self.terms = terms
        self.received = b""
        self.is_sent = False
        self.socket = socket.socket()
        self.socket.setblocking(False)  # noqa: FBT003
        self.error = self.socket.connect_ex(("127.0.0.1", terms["port"]))

    def answer(self) -> tuple[bool, str] | None:
        """Return whether it is good, and what was said; None as long as nothing was."""
        try:
            if self.error not in (0, errno.EINPROGRESS):
                raise OSError(self.error, os.strerror(self.error))
            if not self.is_sent:
                self._send()
            if not self.terms["path"]:
                return True, "it takes connections"
            part = self.socket.recv(4096)
        except BlockingIOError:
            return None
        except OSError as error:
            return False, f"port {self.terms['port']}: {error.strerror}"
        self.received += part
        return None if part and b"\r\n" not in self.received else self._verdict()

    def _verdict(self) -> tuple[bool, str]:
        status = self.received.split(b" ", 2)[1:2]
        if not status or not status[0].isdigit():
            return False, f"{self.terms['path']}: no answer in HTTP"
        return int(status[0]) in GOOD, f"{self.terms['path']} said {int(status[0])}"

    def _send(self) -> None:
        """Send the request as soon as there is a connection."""
        path = self.terms["path"]
        request = f"GET {path} HTTP/1.1\r\nHost: {self.terms['host']}\r\nConnection: close\r\n\r\n"
        try:
            self.socket.getpeername()
        except OSError as error:
            if failed := self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                raise OSError(failed, os.strerror(failed)) from None
            raise BlockingIOError from error
        if path:
            self.socket.sendall(request.encode())
        self.is_sent = True

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


class _Command:
    """A command inside of the container."""

    def __init__(self, terms: dict[str, Any]) -> None:
        self.process = subprocess.Popen(
            terms["command"], cwd=terms["folder"], stdin=subprocess.DEVNULL, start_new_session=True
        )

    def answer(self) -> tuple[bool, str] | None:
        """Return whether it has ended well, and its status; None as long as it runs."""
        status = self.process.poll()
        return None if status is None else (status == 0, f"the command ended with status {status}")

    def close(self) -> None:
        """End it."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
