"""Clients that are slow on purpose: they send a byte a second, for as long as the server lets them."""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from pytest_deploycheck.probes.contexts import any_certificate
from pytest_deploycheck.probes.http import Entry, Upstream
from pytest_deploycheck.probes.tls import client_hello
from pytest_deploycheck.sandbox.ports import LOOPBACK

PAUSE_S = 1.0
CONNECT_TIMEOUT_S = 5.0
LONG_BODY = 1000


@dataclass(frozen=True, kw_only=True)
class Manner:
    """One way to be slow.

    Attributes:
        name: what is sent slowly.
        host, port: where; the host is the name for the TLS handshake.
        tls: whether the handshake is made first, at the usual speed.
        first: what is sent at once.
        then: what is sent byte by byte, again and again.
    """

    name: str
    host: str
    port: int
    tls: bool
    first: bytes
    then: bytes


def manners(entry: Entry, path: str) -> list[Manner]:
    """Return the ways to be slow at an entry: in the handshake, in the header, in the body sent to ``path``."""
    headers = {"Host": entry.domain, **entry.headers}
    header = _head("GET", entry.prefix + path, headers) + b"X-Slow: "
    body = _begun(entry.prefix + path, headers)
    hello = client_hello(entry.domain, ssl.TLSVersion.TLSv1_2)
    found = [
        ("TLS handshake", entry.https_port, False, hello[:1], hello[1:]),
        ("header", entry.https_port, True, header, b"x"),
        ("body", entry.https_port, True, body, b"x"),
    ]
    if _is_open(entry.http_port):
        found.append(("header over http", entry.http_port, False, header, b"x"))
    return [
        Manner(name=name, host=entry.domain, port=port, tls=tls, first=first, then=then)
        for name, port, tls, first, then in found
    ]


def straight_manner(upstream: Upstream, path: str, headers: Mapping[str, str]) -> Manner:
    """Return the way to be slow in the body, at the port where a proxy reaches the app."""
    host, _, port = upstream.address.rpartition(":")
    return Manner(name="body", host=host, port=int(port), tls=False, first=_begun(path, headers), then=b"x")


def _head(method: str, path: str, headers: Mapping[str, str]) -> bytes:
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), ""]
    return "\r\n".join(lines).encode()


def _begun(path: str, headers: Mapping[str, str]) -> bytes:
    return _head("POST", path, headers) + f"Content-Length: {LONG_BODY}\r\n\r\n".encode()


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


@dataclass(kw_only=True)
class SlowClient:
    """One connection: when it began, whether there was an answer, and when the server ended it; None = it is open."""

    manner: Manner
    connection: socket.socket
    began: float
    answered: bool = False
    ended: float | None = None
    sent: int = 0

    def send_one(self) -> None:
        """Send the next byte."""
        if self.ended is None:
            with self._ends_here():
                self.connection.send(self.manner.then[self.sent % len(self.manner.then) :][:1])
                self.sent += 1

    def read(self) -> None:
        """Take what the server says."""
        with self._ends_here():
            while self.connection.recv(4096):
                self.answered = True
            raise ConnectionAbortedError

    @contextlib.contextmanager
    def _ends_here(self) -> Iterator[None]:
        try:
            yield
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except OSError:
            self.ended = time.monotonic()


@dataclass
class SlowCrowd:
    """Many slow clients, served by one thread, for the length of a ``with`` block."""

    counts: dict[Manner, int]
    clients: list[SlowClient] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Connect so many clients of each manner; those who get no connection are not counted."""
        for manner, count in self.counts.items():
            for _ in range(count):
                with contextlib.suppress(OSError):
                    self.clients.append(_connect(manner))
        return self

    def __exit__(self, *_: object) -> None:
        for client in self.clients:
            client.connection.close()

    def be_slow(self, *, deadline_s: float) -> None:
        """Send a byte from each client every second, until the server has ended all of them or the deadline passes."""
        end = time.monotonic() + deadline_s
        with selectors.DefaultSelector() as selector:
            for client in self.clients:
                selector.register(client.connection, selectors.EVENT_READ, client)
            next_round = time.monotonic() + PAUSE_S
            while selector.get_map() and time.monotonic() < end:
                for key, _ in selector.select(timeout=max(0.0, next_round - time.monotonic())):
                    key.data.read()
                if time.monotonic() >= next_round:
                    next_round += PAUSE_S
                    for client in self.clients:
                        client.send_one()
                for key in list(selector.get_map().values()):
                    if key.data.ended is not None:
                        selector.unregister(key.fileobj)


def _connect(manner: Manner) -> SlowClient:
    began = time.monotonic()
    connection = socket.create_connection((LOOPBACK, manner.port), timeout=CONNECT_TIMEOUT_S)
    try:
        if manner.tls:
            connection = any_certificate().wrap_socket(connection, server_hostname=manner.host)
        connection.sendall(manner.first)
        connection.settimeout(0)
    except OSError:
        connection.close()
        raise
    return SlowClient(manner=manner, connection=connection, began=began)
