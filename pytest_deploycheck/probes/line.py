"""A connection to the public entry that stays open, and costs so little that the app, not the client, is measured."""

from __future__ import annotations

import http.client
import socket
import time

from pytest_deploycheck.probes.http import Answer, Entry, any_certificate
from pytest_deploycheck.probes.inside.deploycheck_mark import PID_HEADER
from pytest_deploycheck.sandbox.ports import LOOPBACK


class Line(http.client.HTTPConnection):
    """One HTTPS connection; ``http.client`` takes a tenth of the CPU time that a full client takes for a request.

    Attributes:
        answered_by: the pid of the worker that made the last answer, None if not known.
    """

    def __init__(self, entry: Entry, *, timeout_s: float = 30.0) -> None:
        super().__init__(LOOPBACK, entry.https_port, timeout=timeout_s)
        self.entry = entry
        self.usual_headers = {"Host": entry.domain, **entry.headers}
        self.answered_by: int | None = None

    def connect(self) -> None:
        """Connect, and do the TLS handshake."""
        plain = socket.create_connection((self.host, self.port), self.timeout)
        if not self.entry.has_tls:
            self.sock = plain
            return
        try:
            self.sock = any_certificate().wrap_socket(plain, server_hostname=self.entry.domain)
        except OSError:
            plain.close()
            raise

    def get(self, path: str) -> Answer:
        """Send one GET to ``path`` below the prefix, and time it."""
        start = time.monotonic()
        try:
            self.request("GET", self.entry.prefix + path, headers=self.usual_headers)
            response = self.getresponse()
            response.read()
            status: int | str = response.status
            told = response.getheader(PID_HEADER, "")
            self.answered_by = int(told) if told.isdecimal() else None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            status, self.answered_by = type(error).__name__, None
        return Answer(start, time.monotonic(), status)
