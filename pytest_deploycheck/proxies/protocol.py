"""What a proxy's module does, and what a relocated proxy is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.run import ProjectCopy


@dataclass(frozen=True, kw_only=True)
class Acme:
    """A real ACME server on this machine, in place of the public one.

    Attributes:
        directory: the URL of its directory (RFC 8555 section 7.1.1).
        root: the file of the CA that signed the certificate of this URL.
    """

    directory: str
    root: Path


@dataclass(frozen=True, kw_only=True)
class Relocated:
    """A proxy's configuration, made to run in the sandbox.

    Attributes:
        command: the command line that runs it.
        http_port, https_port: the public entry on 127.0.0.1.
        upstream: where it reaches the app: the path of a unix socket, or host:port.
        other_upstreams: further such addresses, if it chooses one for each request.
        relocated: what was moved, a line each.
        certificate: the files of the test certificate; None if the proxy serves none of the run's CA.
        environment: what the project's own commands get, so that they do not reach a proxy of this machine.
        app_ports: the TCP ports at which it reaches the app, in production and in the sandbox; none for unix sockets.
        certificates_live_s: the shortest life of certificates, in seconds, in which it looks after them.
    """

    command: str
    http_port: int
    https_port: int
    upstream: str
    relocated: list[str]
    certificate: CertificateFiles | None
    environment: Mapping[str, str] = field(default_factory=dict)
    app_ports: Mapping[int, int] = field(default_factory=dict)
    certificates_live_s: int = 15
    other_upstreams: tuple[str, ...] = ()


class Proxy(Protocol):
    """A module of ``proxies/``.

    Attributes:
        NAME: the program's name, as it stands in command lines.
        ADVICE: for check IDs, where in the project's files a failure is usually mended.
    """

    NAME: str
    ADVICE: Mapping[str, Advice]

    def relocate(
        self, command: str, copy: ProjectCopy, values: Mapping[str, str], *, domain: str, acme: Acme | None
    ) -> Relocated:
        """Make the proxy's production configuration run on free loopback ports.

        Args:
            command: the production command, all names expanded.
            copy: the project's copy.
            values: the environment that the proxy will have.
            domain: the public host.
            acme: where certificates come from; None for one of the run's CA, put where the proxy reads it.

        Raises:
            StackError: the configuration cannot be run at all; the message names the file and, where known, the line.
            NotVerified: the program is missing.
            PortTaken: a port is.
        """
