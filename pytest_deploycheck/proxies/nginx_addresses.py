"""The addresses in nginx's file: those that clients reach, and the app's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from string import Template
from typing import Any

from pytest_deploycheck.proxies.addresses import AppPorts, Listeners
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.stacks.protocol import StackError

Directive = dict[str, Any]
_LISTEN = re.compile(r"(?:(?P<host>\[[^]]*\]|[^:]*[^:0-9][^:]*|[0-9.]*\.[0-9.]*):)?(?P<port>[0-9]{1,5})")
_APP = re.compile(
    r"(?P<scheme>https?://)?(?P<host>localhost|127\.0\.0\.1|\[::1\])(:(?P<port>[0-9]{1,5}))?(?P<path>/.*)?"
)
_SOCKET = re.compile(r"(?:https?://)?unix:(?P<path>[^:]+)(:.*)?")
USUAL_PORT = "80"


def move_listeners(
    http: list[Directive], copy: ProjectCopy, values: Mapping[str, str], name: str
) -> Listeners:
    """Let all servers listen at free ports of 127.0.0.1.

    Raises:
        StackError: an address is wrong, or none is for HTTPS.
    """
    ports: dict[int, int] = {}
    secured: list[int] = []
    for server in (item for item in http if item["directive"] == "server"):
        listens = [item for item in server["block"] if item["directive"] == "listen"]
        if not listens:
            listens = [{"directive": "listen", "line": server["line"], "args": [USUAL_PORT]}]
            server["block"].insert(0, listens[0])
        seen: dict[tuple[str, bool], Directive] = {}
        for item in listens:
            port = _port(item, values, name)
            if port is None:
                continue
            if port not in ports:
                ports[port] = copy.run.ports.take()
            if "ssl" in item["args"]:
                secured.append(port)
            item["args"] = [
                f"{LOOPBACK}:{ports[port]}",
                *(arg for arg in item["args"][1:] if not arg.startswith("ipv6only=")),
            ]
            key = (item["args"][0], "quic" in item["args"])
            if key in seen:  # the same port for IPv6
                server["block"].remove(item)
            seen.setdefault(key, item)
    if not secured:
        raise StackError(f"{name}: no server listens with ssl")
    https = 443 if 443 in secured else secured[0]
    plain = [port for port in ports if port not in secured]
    http_port = 80 if 80 in plain else next(iter(plain), None)
    return Listeners(
        # Where no server is for plain HTTP, nobody listens there.
        http_port=ports[http_port] if http_port is not None else copy.run.ports.take(),
        https_port=ports[https],
        moved=[f"port {old} -> {LOOPBACK}:{new}" for old, new in ports.items()],
    )


def _port(item: Directive, values: Mapping[str, str], name: str) -> int | None:
    """Return the port that a server listens at; None for a unix socket."""
    address = Template(item["args"][0] if item["args"] else "").safe_substitute(values)
    if address.startswith("unix:"):
        return None
    match = _LISTEN.fullmatch(address)
    if match:
        return int(match["port"])
    if address and ":" not in address:
        return int(USUAL_PORT)  # a host alone
    raise StackError(f"{name}:{item['line']}: listen must name a port, not {address!r:.80}")


def move_app_ports(
    http: list[Directive], copy: ProjectCopy, values: Mapping[str, str], name: str
) -> AppPorts:
    """Let nginx reach the app at free ports.

    Raises:
        StackError: it leads to no app on this machine.
    """
    elsewhere: list[str] = []
    ports: dict[int, int] = {}
    groups: list[tuple[str, ...]] = []
    for items in _targets(http):
        here: dict[str, None] = {}
        for item in items:
            address = Template(item["args"][0]).safe_substitute(values)
            if match := _SOCKET.fullmatch(address):
                here[str(copy.root / match["path"])] = None
            elif match := _APP.fullmatch(address):
                port = int(match["port"] or USUAL_PORT)
                if port not in ports:
                    ports[port] = copy.run.ports.take()
                item["args"][0] = f"{match['scheme'] or ''}{match['host']}:{ports[port]}{match['path'] or ''}"
                host = LOOPBACK if match["host"] == "localhost" else match["host"]
                here[f"{host}:{ports[port]}"] = None
            else:
                elsewhere.append(address)
        groups.append(tuple(here))
    upstreams = next(filter(None, groups), ())
    if not upstreams:
        what = f", only to {', '.join(elsewhere)[:80]}" if elsewhere else ""
        raise StackError(f"{name}: no proxy_pass leads to the app on this machine{what}")
    return AppPorts(upstreams=upstreams, ports=ports)


def _targets(block: list[Directive]) -> list[list[Directive]]:
    """Return the directives that name addresses of the app, those of each upstream together; upstreams come first."""
    found: list[list[Directive]] = []
    for item in block:
        if item["directive"] == "upstream":
            servers = [inner for inner in item["block"] if inner["directive"] == "server" and inner["args"]]
            found.insert(0, servers)
        elif item["directive"] == "proxy_pass" and item["args"]:
            found.append([item])
        elif item.get("block"):
            found += _targets(item["block"])
    return found
