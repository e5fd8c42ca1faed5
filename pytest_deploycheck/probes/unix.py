"""HTTP over a unix socket, for questions to process managers."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path


class UnixConnection(http.client.HTTPConnection):
    """A connection to the server that listens on ``path``."""

    def __init__(self, path: Path, *, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self.path = path

    def connect(self) -> None:
        """Connect; a socket that nobody listens on leaves nothing open."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(self.timeout)
            self.sock.connect(str(self.path))
        except OSError:
            self.sock.close()
            raise


def accepts(path: Path) -> bool:
    """Tell whether somebody takes connections on a unix socket."""
    connection = UnixConnection(path, timeout_s=2)
    try:
        connection.connect()
    except OSError:
        return False
    connection.close()
    return True
