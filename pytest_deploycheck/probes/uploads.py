"""Request bodies of any size, sent as a client does that stops as soon as it is answered."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass

from pytest_deploycheck.probes.contexts import any_certificate
from pytest_deploycheck.probes.http import Entry
from pytest_deploycheck.sandbox.ports import LOOPBACK

BLOCK = b"x" * 16_384
TIMEOUT_S = 15.0


@dataclass(frozen=True, kw_only=True)
class Upload:
    """What came of one upload.

    Attributes:
        status: of the answer; None if there was none.
        sent: how many bytes of the body had been sent by then.
        said: the first line of the answer, or the error.
    """

    status: int | None
    sent: int
    said: str


def upload(
    entry: Entry, path: str, size: int, *, declared: int | None = None, chunked: bool = False
) -> Upload:
    """POST ``size`` bytes.

    Args:
        entry: the public entry.
        path: below its prefix.
        size: how many bytes to send at most.
        declared: the ``Content-Length``, if it is not ``size``.
        chunked: send no ``Content-Length``, but chunks.
    """
    length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {declared or size}"
    headers = {"Host": entry.domain, "Content-Type": "application/octet-stream", **entry.headers}
    lines = [f"POST {entry.prefix}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    head = "".join(f"{line}\r\n" for line in [*lines, length, ""]).encode()
    answer, sent = None, 0
    with (
        socket.create_connection((LOOPBACK, entry.https_port), timeout=TIMEOUT_S) as connection,
        any_certificate().wrap_socket(connection, server_hostname=entry.domain) as wrapped,
    ):
        try:
            wrapped.sendall(head)
            while sent < size and (answer := _arrived(wrapped)) is None:
                block = BLOCK[: size - sent]
                wrapped.sendall(b"%x\r\n%s\r\n" % (len(block), block) if chunked else block)
                sent += len(block)
            if chunked and answer is None:
                wrapped.sendall(b"0\r\n\r\n")
        except TimeoutError:
            return Upload(status=None, sent=sent, said="nobody read on")
        except OSError:
            pass  # refused in the middle of it: the answer says why
        return _read_answer(wrapped, answer or b"", sent)


def _arrived(connection: ssl.SSLSocket) -> bytes | None:
    """Return what has come back by now, empty if the connection was ended; None if nothing has."""
    connection.settimeout(0)
    try:
        return connection.recv(4096)
    except ssl.SSLWantReadError:
        return None
    finally:
        connection.settimeout(TIMEOUT_S)


def _read_answer(connection: ssl.SSLSocket, answer: bytes, sent: int) -> Upload:
    try:
        while b"\r\n" not in answer and (more := connection.recv(4096)):
            answer += more
    except OSError as error:
        return Upload(status=None, sent=sent, said=f"no answer ({type(error).__name__})")
    said = answer.partition(b"\r\n")[0].decode("latin-1")
    status = int(said.split(" ")[1]) if said.startswith("HTTP/") else None
    return Upload(status=status, sent=sent, said=said or "the connection was ended without an answer")
