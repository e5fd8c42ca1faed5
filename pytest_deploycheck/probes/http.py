"""Requests as the public sends them: to the proxy's ports in the sandbox, in the name of the project's domain."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2

from pytest_deploycheck.probes import unix
from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.probes.contexts import any_certificate
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.probes.line import TIMEOUT_S, Line
from pytest_deploycheck.sandbox.ports import LOOPBACK


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

    def line(self, *, timeout_s: float = TIMEOUT_S) -> Line:
        """Return a connection that many requests can be sent over, not open yet; it costs less than a client."""
        return Line(
            self.https_port,
            self.prefix,
            {"Host": self.domain, **self.headers},
            tls_name=self.domain if self.has_tls else None,
            timeout_s=timeout_s,
        )

    def ask(self, path: str, *, timeout_s: float = TIMEOUT_S) -> Answer:
        """Send one GET over a new connection, and time it."""
        with closing(self.line(timeout_s=timeout_s)) as line:
            return line.get(path)

    def status(self, path: str, *, timeout_s: float = TIMEOUT_S) -> int | str:
        """Return the status of a GET over a new connection, or the name of the error if there was no answer."""
        return self.ask(path, timeout_s=timeout_s).status

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
        transport = httpx2.HTTPTransport(
            uds=str(self.socket) if self.socket else None,
            local_address=source,
            verify=any_certificate(),  # there is no TLS here; to make the usual context takes 25 ms
        )
        base_url = "http://app" if self.socket else f"http://{self.address}"
        return httpx2.Client(transport=transport, base_url=base_url, timeout=TIMEOUT_S, trust_env=False)

    def get(self, path: str, *, source: str | None = None, **more: Any) -> httpx2.Response:
        """GET straight at the app, not through the proxy."""
        with self.client(source=source) as client:
            return client.get(path, **more)
