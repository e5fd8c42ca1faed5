"""What a relocated proxy is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_deploycheck.sandbox.certificates import CertificateFiles


@dataclass(frozen=True, kw_only=True)
class Relocated:
    """A proxy's configuration, made to run in the sandbox.

    Attributes:
        command: the command line that runs it.
        http_port, https_port: the public entry on 127.0.0.1.
        upstream: where it reaches the app: the path of a unix socket, or host:port.
        relocated: what was moved, a line each.
        certificate: the files of the test certificate; None if the proxy serves none of the run's CA.
        environment: what the project's own commands get, so that they do not reach a proxy of this machine.
        app_ports: the TCP ports at which it reaches the app, in production and in the sandbox; none for unix sockets.
    """

    command: str
    http_port: int
    https_port: int
    upstream: str
    relocated: list[str]
    certificate: CertificateFiles | None
    environment: Mapping[str, str] = field(default_factory=dict)
    app_ports: Mapping[int, int] = field(default_factory=dict)
