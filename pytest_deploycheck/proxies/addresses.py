"""Where a relocated proxy listens, and where it reaches the app."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Listeners:
    """Where a proxy listens now.

    Attributes:
        http_port, https_port: the public entry on 127.0.0.1.
        moved: what was moved, a line each.
    """

    http_port: int
    https_port: int
    moved: list[str] = field(default_factory=list)


@dataclass(kw_only=True)
class AppPorts:
    """Where a proxy reaches the app.

    Attributes:
        upstreams: paths of unix sockets, or host:port, among which it chooses.
        ports: old and new TCP ports, also those of other programs of this deployment.
    """

    upstreams: tuple[str, ...]
    ports: dict[int, int]

    @property
    def moved(self) -> list[str]:
        """What was moved, a line each."""
        return [f"port {old} of a server -> {new}" for old, new in self.ports.items()]
