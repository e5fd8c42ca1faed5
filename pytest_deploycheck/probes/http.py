"""Requests as the public sends them: to the proxy's ports in the sandbox, in the name of the project's domain."""

from __future__ import annotations

import functools
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from pytest_deploycheck.probes import unix
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.sandbox.ports import LOOPBACK

TIMEOUT_S = 10.0


class SharedContext(ssl.SSLContext):
    """A TLS context that many threads use at once, for HTTP/1.1.

    httpcore sets the same protocols before each connection. Python copies them without its lock for another thread's
    connection at that moment, whose handshake is then garbage: about one in 100,000, and the proxy refuses it.
    """

    def set_alpn_protocols(self, alpn_protocols: Iterable[str]) -> None:
        """Do nothing: they are set once, by ``any_certificate``."""


@functools.cache
def any_certificate() -> ssl.SSLContext:
    """Return a TLS context that accepts each certificate: whether it is the right one is what TLS002 is for."""
    context = SharedContext(ssl.PROTOCOL_TLS_CLIENT)
    ssl.SSLContext.set_alpn_protocols(context, ["http/1.1"])
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@dataclass(frozen=True, kw_only=True)
class Entry:
    """The public entry of a running stack; without ``has_tls`` it is the app itself, at one port for both."""

    domain: str
    http_port: int
    https_port: int
    has_tls: bool = True
    prefix: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    def client(self, *, source: str = LOOPBACK, timeout_s: float = TIMEOUT_S) -> httpx2.Client:
        """Return a client that connects from the loopback address ``source``, with no connection open yet."""
        transport = httpx2.HTTPTransport(verify=any_certificate(), local_address=source)
        return httpx2.Client(transport=transport, timeout=timeout_s, trust_env=False)

    def arguments(self, method: str, path: str, *, https: bool = True, **more: Any) -> dict[str, Any]:
        """Return what ``httpx2`` needs for a request to ``path`` below the prefix.

        ``host`` replaces the Host header; ``headers`` are added to the project's own.
        """
        port = self.https_port if https else self.http_port
        headers = {"Host": more.pop("host", self.domain), **self.headers, **more.pop("headers", {})}
        return {
            "method": method,
            "url": f"{'https' if https and self.has_tls else 'http'}://{LOOPBACK}:{port}{self.prefix}{path}",
            "headers": headers,
            "extensions": {"sni_hostname": self.domain},
            **more,
        }

    def request(
        self, method: str, path: str, *, source: str = LOOPBACK, timeout_s: float = TIMEOUT_S, **more: Any
    ) -> httpx2.Response:
        """Send one request over a new connection.

        Raises:
            httpx2.TransportError: no answer within ``timeout_s`` seconds, or no connection.
        """
        with self.client(source=source, timeout_s=timeout_s) as client:
            return client.request(**self.arguments(method, path, **more))

    def get(self, path: str, **more: Any) -> httpx2.Response:
        """GET over a new connection; see ``request``."""
        return self.request("GET", path, **more)

    def status(self, path: str, **more: Any) -> int | str:
        """Return the status of a GET, or the name of the error if there was no answer."""
        try:
            return self.get(path, **more).status_code
        except httpx2.TransportError as error:
            return type(error).__name__

    def path_of(self, url: str) -> str:
        """Return the path and query of a URL of the app, without the prefix."""
        parts = urlsplit(url)
        below = parts.path.startswith(f"{self.prefix}/")
        path = parts.path.removeprefix(self.prefix) if below else parts.path
        return f"{path}?{parts.query}" if parts.query else path

    def echo(self, *, https: bool = True, **more: Any) -> dict[str, Any]:
        """Return what the app sees of a request: pid, client, scheme, host, url."""
        response = self.get(f"{MARK}echo", https=https, **more)
        response.raise_for_status()
        return dict(response.json())


@dataclass(frozen=True)
class Upstream:
    """The address at which the proxy reaches the app: the path of a unix socket, or host:port.

    ``others``: further ones, among which the proxy chooses.
    """

    address: str
    others: tuple[str, ...] = ()

    def replicas(self) -> list[Upstream]:
        """Return an address of each replica: sockets can be links to the same one, and some can lead nowhere.

        Where none takes connections, the first is returned: then the request tells.
        """
        if not self.others:
            return [self]
        found: dict[Path, Upstream] = {}
        for address in (self.address, *self.others):
            found.setdefault(Path(address).resolve(), Upstream(address))
        return [one for one in found.values() if one.accepts()] or [self]

    @property
    def socket(self) -> Path | None:
        """The socket file, None for TCP."""
        return Path(self.address) if self.address.startswith("/") else None

    def accepts(self) -> bool:
        """Tell whether somebody takes connections there."""
        if self.socket:
            return unix.accepts(self.socket)
        host, _, port = self.address.rpartition(":")
        with socket.socket() as connection:
            return connection.connect_ex((host, int(port))) == 0

    def client(self, *, source: str | None = None) -> httpx2.Client:
        """Return a client that connects straight to the app, with no connection open yet."""
        transport = httpx2.HTTPTransport(uds=str(self.socket) if self.socket else None, local_address=source)
        base_url = "http://app" if self.socket else f"http://{self.address}"
        return httpx2.Client(transport=transport, base_url=base_url, timeout=TIMEOUT_S, trust_env=False)

    def get(self, path: str, *, source: str | None = None, **more: Any) -> httpx2.Response:
        """GET straight at the app, not through the proxy."""
        with self.client(source=source) as client:
            return client.get(path, **more)


def is_good(status: int | str | None) -> bool:
    """Tell whether a status is 2xx: health may be answered without words, by 204."""
    return isinstance(status, int) and 200 <= status < 300


@dataclass(frozen=True)
class Answer:
    """One timed request: ``status`` is the name of the error where there was no answer; times in seconds."""

    start: float
    end: float
    status: int | str

    @property
    def ok(self) -> bool:
        """Whether it was answered with 2xx."""
        return is_good(self.status)


def timed(entry: Entry, client: httpx2.Client, path: str, *, method: str = "GET") -> Answer:
    """Send one request over ``client`` and time it."""
    start = time.monotonic()
    try:
        status: int | str = client.request(**entry.arguments(method, path)).status_code
    except httpx2.TransportError as error:
        status = type(error).__name__
    return Answer(start, time.monotonic(), status)
