"""A websocket as a browser opens it: RFC 6455. It sends one text and reads one back.

Of our own, because a library would be installed beside the app's server, which then would take it for its own: a
server that has no websockets in production would have them in the sandbox.
"""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from dataclasses import dataclass

from pytest_deploycheck.probes.contexts import any_certificate
from pytest_deploycheck.probes.http import Entry
from pytest_deploycheck.probes.line import TIMEOUT_S
from pytest_deploycheck.sandbox.ports import LOOPBACK

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT = 0x81  # the last frame of a text
SHORTEST_WITH_LENGTH_FIELD = 126


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What came of a handshake and one text.

    Attributes:
        status: of the answer to the handshake; None if there was none.
        agreed: whether the answer proves that the other side speaks websocket.
        reply: the text that came back.
        said: the first line of the answer, or the error.
    """

    status: int | None
    agreed: bool
    reply: str | None
    said: str


def converse(entry: Entry, path: str, *, text: str) -> Conversation:
    """Open a websocket at ``path`` from a page of the same site, send ``text``, and wait for a text."""
    if len(text.encode()) >= SHORTEST_WITH_LENGTH_FIELD:
        raise ValueError("the text is too long for a short frame")
    status, agreed, said = None, False, "no answer"
    try:
        with (
            socket.create_connection((LOOPBACK, entry.https_port), timeout=TIMEOUT_S) as connection,
            any_certificate().wrap_socket(connection, server_hostname=entry.domain) as wrapped,
            wrapped.makefile("rb") as answer,
        ):
            key = base64.b64encode(os.urandom(16)).decode()
            wrapped.sendall(_handshake(entry, path, key))
            said = answer.readline().decode("latin-1").strip() or "the connection was closed"
            status = int(said.split(" ")[1]) if said.startswith("HTTP/") else None
            headers = list(iter(lambda: answer.readline().decode("latin-1").strip(), ""))
            agreed = status == 101 and any(_is_proof(header, key) for header in headers)
            if not agreed:
                return Conversation(status=status, agreed=agreed, reply=None, said=said)
            wrapped.sendall(_masked(text.encode()))
            kind, length = answer.read(2)
            reply = answer.read(length).decode() if kind == TEXT else None
            return Conversation(status=status, agreed=agreed, reply=reply, said=said)
    except (OSError, ValueError) as error:  # ValueError: less than two bytes of a frame, or no text in it
        return Conversation(status=status, agreed=agreed, reply=None, said=f"{said}; {error}")


def _handshake(entry: Entry, path: str, key: str) -> bytes:
    headers = {
        "Host": entry.domain,
        "Origin": f"https://{entry.domain}",
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
        **entry.headers,
    }
    lines = [f"GET {entry.prefix}{path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def _is_proof(header: str, key: str) -> bool:
    name, _, value = header.partition(":")
    digest = hashlib.sha1(f"{key}{GUID}".encode(), usedforsecurity=False).digest()  # RFC 6455
    proof = base64.b64encode(digest).decode()
    return (name.lower(), value.strip()) == ("sec-websocket-accept", proof)


def _masked(payload: bytes) -> bytes:
    """Return one text frame as clients have to send it."""
    mask = os.urandom(4)
    body = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    return bytes([TEXT, 0x80 | len(payload)]) + mask + body
