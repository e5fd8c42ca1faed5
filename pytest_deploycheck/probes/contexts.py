"""The TLS contexts of our clients."""

from __future__ import annotations

import errno
import functools
import os
import socket
import ssl
from collections.abc import Iterable


class ClientSocket(ssl.SSLSocket):
    """A TLS socket that closes itself if the server has gone before the handshake.

    Python then looks for the peer, raises, and keeps the socket open until it is collected.
    """

    def getpeername(self) -> object:
        """Return the server's address; close the socket if there is no server any more."""
        try:
            return super().getpeername()
        except OSError as error:
            reason = self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.ECONNRESET
            self.close()
            raise OSError(reason, os.strerror(reason)) from error


class SharedContext(ssl.SSLContext):
    """A TLS context that many threads use at once, for HTTP/1.1.

    httpcore sets the same protocols before each connection. Python copies them without its lock for another thread's
    connection at that moment, whose handshake is then garbage: about one in 100,000, and the proxy refuses it.
    """

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Do nothing: they are set once, by ``any_certificate``."""


@functools.cache
def any_certificate() -> ssl.SSLContext:
    """Return the context that accepts each certificate: whether it is the right one is what TLS002 is for."""
    context = unverified(SharedContext(ssl.PROTOCOL_TLS_CLIENT))
    ssl.SSLContext.set_alpn_protocols(context, ["http/1.1"])
    return context


def unverified(context: ssl.SSLContext) -> ssl.SSLContext:
    """Let a context accept each certificate, and return it."""
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.sslsocket_class = ClientSocket
    return context


def trusting(root: str) -> ssl.SSLContext:
    """Return a new context that accepts the certificates below ``root`` (PEM), for the name that is asked for."""
    context = ssl.create_default_context(cadata=root)
    context.sslsocket_class = ClientSocket
    return context
