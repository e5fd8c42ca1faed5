"""The addresses in HAProxy's file: those that clients reach, and the app's.

https://docs.haproxy.org/2.6/configuration.html#bind
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pytest_deploycheck.proxies.addresses import AppPorts, Listeners
from pytest_deploycheck.proxies.haproxy_lines import Line
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.stacks.protocol import StackError

_BIND = re.compile(r"(?P<family>(?:ipv[46]|quic[46])@)?(?P<host>[^/@]*):(?P<port>[0-9]{1,5})")
_SOCKET = re.compile(r"(?:unix@|uxst@)(?P<path>.+)|(?P<absolute>/.*)")
_APP = re.compile(r"(?:ipv[46]@)?(?P<host>localhost|127\.0\.0\.1|::1|\[::1\]):(?P<port>[0-9]{1,5})")
# What only root may do, and what no longer fits one address of IPv4.
_FLAGS = {"v4v6", "v6only", "transparent"}
_WITH_VALUE = {"interface", "user", "uid", "group", "gid", "namespace"}
PUBLIC = ("frontend", "listen")


@dataclass(kw_only=True)
class Binds(Listeners):
    """Where HAProxy listens now.

    Attributes:
        section: the frontend that serves HTTPS.
        certified: its lines that name a certificate.
    """

    section: list[str]
    certified: list[Line]


def move_binds(lines: list[Line], copy: ProjectCopy, name: str) -> Binds:
    """Let all frontends listen at free ports of 127.0.0.1.

    Raises:
        StackError: an address is wrong, or none is for HTTPS.
    """
    ports: dict[int, int] = {}
    secured: dict[int, Line] = {}
    certified: list[Line] = []
    bound: set[str] = set()
    for line in lines:
        if line.words[:1] != ["bind"] or len(line.words) < 2 or line.section[:1] == ["peers"]:
            continue
        addresses = []
        for address in line.words[1].split(","):
            port, moved = _move(address, ports, copy, f"{name}:{line.number}")
            if "ssl" in line.words and port is not None:
                secured.setdefault(port, line)
            if moved not in bound:  # the same port for IPv6
                addresses.append(moved)
                bound.add(moved)
        if not addresses:
            line.drop()
            continue
        line.set("bind", ",".join(addresses), *_unprivileged(line.words[2:]))
        if "ssl" in line.words:
            certified.append(line)
    if not secured:
        raise StackError(f"{name}: no frontend binds with ssl")
    https = 443 if 443 in secured else next(iter(secured))
    plain = [port for port in ports if port not in secured]
    http_port = 80 if 80 in plain else next(iter(plain), None)
    return Binds(
        # Where no frontend is for plain HTTP, nobody listens there.
        http_port=ports[http_port] if http_port is not None else copy.run.ports.take(),
        https_port=ports[https],
        section=secured[https].section,
        certified=certified,
        moved=[f"port {old} -> {LOOPBACK}:{new}" for old, new in ports.items()],
    )


def _move(address: str, ports: dict[int, int], copy: ProjectCopy, where: str) -> tuple[int | None, str]:
    """Return the port of an address and where it is now; no port for a unix socket."""
    if match := _SOCKET.fullmatch(address):
        path = match["path"] or match["absolute"]
        return None, f"unix@{inside(path, copy)}"
    match = _BIND.fullmatch(address)
    if match is None:
        raise StackError(f"{where}: bind must name one port, like :443, not {address!r:.80}")
    port = int(match["port"])
    if port not in ports:
        ports[port] = copy.run.ports.take()
    family = "quic4@" if (match["family"] or "").startswith("quic") else ""
    return port, f"{family}{LOOPBACK}:{ports[port]}"


def _unprivileged(words: list[str]) -> Iterator[str]:
    """Leave out what only root may say."""
    rest = iter(words)
    for word in rest:
        if word in _WITH_VALUE:
            next(rest, None)
        elif word not in _FLAGS:
            yield word


def inside(path: str, copy: ProjectCopy) -> str:
    """Return a path that HAProxy writes to, moved into the sandbox if it is not in the project."""
    if not path.startswith("/") or Path(path).is_relative_to(copy.root) or path.startswith("/dev/"):
        return path
    target = copy.outside / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    return str(target)


def move_app_ports(lines: list[Line], entry: list[str], copy: ProjectCopy, name: str) -> AppPorts:
    """Let HAProxy reach the app at free ports; the app is where the frontend ``entry`` leads to.

    Raises:
        StackError: it leads to no app on this machine.
    """
    ports: dict[int, int] = {}
    found: dict[str, dict[str, None]] = {}
    elsewhere: list[str] = []
    for line in lines:
        if line.words[:1] != ["server"] or len(line.words) < 3:
            continue
        address, section = line.words[2], " ".join(line.section[1:2])
        here = found.setdefault(section, {})
        if match := _SOCKET.fullmatch(address):
            here[str(copy.root / (match["path"] or match["absolute"]))] = None
        elif match := _APP.fullmatch(address):
            port = int(match["port"])
            if port not in ports:
                ports[port] = copy.run.ports.take()
            line.set(*line.words[:2], f"{match['host']}:{ports[port]}", *line.words[3:])
            host = LOOPBACK if match["host"] == "localhost" else match["host"]
            here[f"{host}:{ports[port]}"] = None
        else:
            elsewhere.append(address)
    wanted = [backend for backend in _backends(lines, entry) if found.get(backend)]
    if not wanted:
        what = f", only to {', '.join(elsewhere)[:80]}" if elsewhere else ""
        raise StackError(f"{name}: no server leads to the app on this machine{what}")
    return AppPorts(upstreams=tuple(found[wanted[0]]), ports=ports)


def _backends(lines: list[Line], entry: list[str]) -> list[str]:
    """Return the names of the backends that a frontend leads to, the default one first; its own for ``listen``."""
    named = {"default_backend": list[str](), "use_backend": list[str]()}
    for line in lines:
        if line.section == entry and line.words[:1] and line.words[0] in named:
            named[line.words[0]] += line.words[1:2]
    return [*named["default_backend"], *named["use_backend"], *entry[1:2]]
