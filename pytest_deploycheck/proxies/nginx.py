"""nginx: its file is read and written by crossplane; ports, certificates and paths outside the project are moved.

https://nginx.org/en/docs/dirindex.html
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import crossplane  # type: ignore[import-untyped]

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.detection.compose import describes_containers
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.proxies import certbot
from pytest_deploycheck.proxies.command import split_after
from pytest_deploycheck.proxies.documents import text_of
from pytest_deploycheck.proxies.nginx_addresses import move_app_ports, move_listeners
from pytest_deploycheck.proxies.nginx_files import Directive, keep_inside, walk
from pytest_deploycheck.proxies.protocol import Acme, Relocated
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.tools import require
from pytest_deploycheck.stacks.protocol import StackError

NAME = "nginx"
_USUAL = "nginx -p FOLDER -c FILE"
_REFERENCE = re.compile(r"\$\{(\w+)\}")
_OWN_REFERENCE = re.compile(r"\$\{(\w+)\}(?=[\s;{])")
_FILE = "deploy/nginx.conf"
ADVICE = {
    "TLS001": Advice(_FILE, None, "return 308 https://$host$request_uri in the server for port 80"),
    "TLS002": Advice(_FILE, None, "ssl_protocols TLSv1.2 TLSv1.3, and ssl_certificate with the whole chain"),
    "TLS003": Advice(
        _FILE,
        None,
        "add_header Strict-Transport-Security … always; a location with an add_header of its own loses it",
    ),
    "TLS004": Advice(
        _FILE,
        None,
        "proxy_set_header X-Forwarded-Proto $scheme and Host $host; a location with any of its own loses all",
    ),
    "TLS005": Advice(_FILE, None, "proxy_set_header X-Forwarded-For $remote_addr"),
    "TLS006": Advice(
        _FILE, None, "X-Forwarded-For $remote_addr: $proxy_add_x_forwarded_for keeps what the client wrote"
    ),
    "TLS008": Advice(
        _FILE,
        None,
        "a default_server with return 421, and ssl_reject_handshake on: else the first one takes any name",
    ),
    "TLS009": Advice(_FILE, None, "a hook that sends HUP to nginx, which reads certificates only then"),
    "TLS010": Advice(
        "deploy/certificates",
        None,
        "certbot in a loop or by a timer, --deploy-hook, and /.well-known/acme-challenge/ on port 80",
    ),
    "TLS011": Advice(
        _FILE, None, "proxy_http_version 1.1, proxy_set_header Upgrade $http_upgrade and a fitting Connection"
    ),
    "TLS012": Advice(
        _FILE, None, "proxy_pass with a path takes the location's prefix away: as the app's server wants it"
    ),
    "TLS013": Advice(_FILE, None, "client_max_body_size 4m"),
    "TLS014": Advice(
        _FILE,
        None,
        "client_header_timeout 5s, and limit_conn for bodies: nginx never ends one that comes byte by byte",
    ),
    "TLS015": Advice(_FILE, None, "proxy_connect_timeout of a few seconds, max_fails=0"),
    "TLS016": Advice(_FILE, None, "http2 in the listen lines"),
    "REP003": Advice(_FILE, None, "no keepalive in the upstream: a connection for each request"),
}


def relocate(
    command: str, copy: ProjectCopy, values: Mapping[str, str], *, domain: str, acme: Acme | None = None
) -> Relocated:
    """Rewrite the copy's file so that it runs on free loopback ports; see ``protocol.Proxy``."""
    in_container = describes_containers(copy.run.config.manager_config)
    program, options, prefix, running = _parse(command, copy, in_container=in_container)
    if not in_container:
        require(program[-1], copy.root / ".venv", install="apt-get install nginx")
    file = copy.root / (copy.run.config.proxy_config or running)
    name = str(file.relative_to(copy.root) if file.is_relative_to(copy.root) else file)
    if file.is_relative_to(copy.root):
        _expand(file, name, values)
    main = [*_read_text(options.pop("-g", ""), copy), *_read(file, name)]
    http = next((item["block"] for item in main if item["directive"] == "http"), None)
    if http is None:
        raise StackError(f"{name}: no http block: it serves nothing")
    listeners = move_listeners(http, copy, values, name)
    app = move_app_ports(http, copy, values, name)
    moved = keep_inside(main, http, prefix, copy)
    said, certificate = _certify(http, running.parent, copy, domain, acme, name)
    text = crossplane.build(main) + "\n"
    if not file.is_relative_to(copy.root):
        file = running = copy.root.with_suffix(".nginx.conf")
    file.write_text(text, encoding="utf-8")
    arguments = {"-e": "stderr", **options}
    # What a container makes of the file is not here.
    if not in_container or not running.is_relative_to(copy.root) or running == file:
        arguments |= {"-p": str(prefix), "-c": str(running)}
    return certbot.relocated(
        copy,
        acme,
        command=shlex.join([*program, *(word for option in arguments.items() for word in option)]),
        name=name,
        listeners=listeners,
        app=app,
        moved=[said, *moved],
        certificate=certificate,
    )


def _parse(
    command: str, copy: ProjectCopy, *, in_container: bool
) -> tuple[list[str], dict[str, str], Path, Path]:
    """Return ``[nice] nginx``, its options, and what ``-p`` and ``-c`` name here."""
    program, rest = split_after(NAME, command, usual=_USUAL)
    options: dict[str, str] = {}
    words = iter(rest)
    for word in words:
        options[word[:2]] = word[2:] or next(words, "")
    if not options.get("-c"):
        raise StackError(f"the proxy's command must be {_USUAL}, not {command!r}")
    prefix = Path(os.path.normpath(copy.root / options.get("-p", ".")))
    if in_container and not prefix.is_relative_to(copy.root):
        prefix = copy.root  # there the project's folder has another name
    return program, options, prefix, prefix / options["-c"]


def _expand(file: Path, name: str, values: Mapping[str, str]) -> None:
    """Put values of the environment in for ``${NAME}``, as the project's own start does: nginx knows none of them."""
    text = _REFERENCE.sub(lambda match: values.get(match[1], match[0]), text_of(file, name))
    # crossplane 0.5.8 takes what follows `${name}` for a part of the word; for nginx `$name` is the same.
    file.write_text(_OWN_REFERENCE.sub(r"$\1", text), encoding="utf-8")


def _read_text(text: str, copy: ProjectCopy) -> list[Directive]:
    """Return the directives of the option ``-g``."""
    file = copy.root.with_suffix(".nginx-g")
    file.write_text(text, encoding="utf-8")
    return _read(file, "the option -g")


def _read(file: Path, name: str) -> list[Directive]:
    """Read a file and all that it includes.

    Raises:
        StackError: there is a mistake; the message names file and line.
    """
    try:
        payload = crossplane.parse(str(file), combine=True)
    except (OSError, ValueError, LookupError, RecursionError) as error:
        raise StackError(f"{name}: cannot be read: {error}") from None
    for found in payload["errors"]:
        where = name if found["file"] == str(file) else found["file"]
        line = f":{found['line']}" if found["line"] else ""
        said = str(found["error"]).partition(" in /")[0]
        raise StackError(f"{where}{line}: {said}")
    return list(payload["config"][0]["parsed"])


def _certify(
    http: list[Directive], folder: Path, copy: ProjectCopy, domain: str, acme: Acme | None, name: str
) -> tuple[str, CertificateFiles | None]:
    """Put a certificate of the run's CA where nginx reads it, as long as no ACME server is there to issue one."""
    chains = [item for item in walk(http) if item["directive"] == "ssl_certificate"]
    keys = [item for item in walk(http) if item["directive"] == "ssl_certificate_key"]
    if not chains or not keys:
        raise StackError(f"{name}: no ssl_certificate and ssl_certificate_key")
    chain, key = (Path(os.path.normpath(folder / items[0]["args"][0])) for items in (chains, keys))
    inside = chain.is_relative_to(copy.root) and key.is_relative_to(copy.root) and "$" not in f"{chain}{key}"
    if acme:
        if not inside:
            raise NotVerified(f"{chain} is outside of the project: who renews it cannot be tried here")
        return f"the public ACME server, which certbot asks -> {acme.directory}", None
    files = CertificateFiles.beside(copy.root, domain, renews_itself=False)
    if inside:
        files = replace(files, chain=chain, key=key)
    else:
        for items, path in ((chains, files.chain), (keys, files.key)):
            for item in items:
                item["args"] = [str(path)]
    files.issue(copy.run.ca)
    return f"the certificate for {domain} -> one of the test CA", files
