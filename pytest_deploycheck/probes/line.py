"""A connection to the public entry that stays open, and costs so little that the app, not the client, is measured."""

from __future__ import annotations

import http.client
import select
import socket
import time
from collections.abc import Mapping
from urllib.parse import quote

from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.probes.contexts import any_certificate
from pytest_deploycheck.probes.inside.deploycheck_mark import PID_HEADER
from pytest_deploycheck.sandbox.ports import LOOPBACK

TIMEOUT_S = 10.0
# What a path and its query may consist of (RFC 3986 section 3.3 and 3.4), and what is quoted already.
IN_A_PATH = "/?:@!$&'()*+,;=-._~%"


class Line(http.client.HTTPConnection):
    """One HTTPS connection; ``http.client`` takes a tenth of the CPU time that a full client takes for a request.

    A connection that the server has closed, before a request is sent, is made anew.

    Attributes:
        answered_by: the pid of the worker that made the last answer, None if not known.
    """

    def __init__(
        self, port: int, prefix: str, headers: Mapping[str, str], *, tls_name: str | None, timeout_s: float
    ) -> None:
        """Connect with the first request, to a port of this machine.

        Args:
            port: of the public entry.
            prefix: of all paths.
            headers: of all requests.
            tls_name: the name for the TLS handshake; None for plain HTTP.
            timeout_s: how long to wait for a connection, and for each part of an answer, in seconds.
        """
        super().__init__(LOOPBACK, port, timeout=timeout_s)
        self.prefix, self.tls_name = prefix, tls_name
        self.usual_headers = {"User-Agent": "deploycheck", "Accept": "*/*", **headers}
        self.answered_by: int | None = None

    def connect(self) -> None:
        """Connect, and do the TLS handshake."""
        plain = socket.create_connection((self.host, self.port), self.timeout)
        if self.tls_name is None:
            self.sock = plain
            return
        try:
            self.sock = any_certificate().wrap_socket(plain, server_hostname=self.tls_name)
        except OSError:
            plain.close()
            raise

    def get(self, path: str) -> Answer:
        """Send one GET; see ``send_to``."""
        return self.send_to("GET", path)

    def get_patiently(self, path: str) -> Answer:
        """Send one GET, and once more over a new connection where this one was open and is closed, as browsers do.

        A server may close an idle connection at the very moment at which the client sends: RFC 9112 section 9.3.1.
        """
        was_open = self.sock is not None
        answer = self.get(path)
        if not was_open or isinstance(answer.status, int):
            return answer
        again = self.get(path)
        return Answer(answer.start, again.end, again.status)

    def send_to(self, method: str, path: str) -> Answer:
        """Send one request without a body to ``path`` below the prefix, and time it."""
        start = time.monotonic()
        try:
            if self._was_closed():
                self.close()
            self.request(method, quote(self.prefix + path, safe=IN_A_PATH), headers=self.usual_headers)
            response = self.getresponse()
            response.read()
            status: int | str = response.status
            told = response.getheader(PID_HEADER, "")
            self.answered_by = int(told) if told.isdecimal() else None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            status, self.answered_by = type(error).__name__, None
        return Answer(start, time.monotonic(), status)

    def _was_closed(self) -> bool:
        """Tell whether there is something to read although nothing was asked: the end of the connection."""
        if self.sock is None:
            return False
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))
