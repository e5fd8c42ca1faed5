"""HAProxy: ports, certificates and paths outside the project are moved, and ``haproxy -c`` reads what came of it.

https://docs.haproxy.org/2.6/configuration.html
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.detection.compose import describes_containers
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.proxies import certbot
from pytest_deploycheck.proxies.documents import text_of
from pytest_deploycheck.proxies.haproxy_addresses import inside, move_app_ports, move_binds
from pytest_deploycheck.proxies.haproxy_command import Command, name_of
from pytest_deploycheck.proxies.haproxy_lines import Line, read
from pytest_deploycheck.proxies.protocol import Acme, Relocated
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.tools import require
from pytest_deploycheck.stacks.protocol import StackError

NAME = "haproxy"
# What only root may do; and the sandbox has no syslog.
_DROPPED = {"user", "group", "uid", "gid", "chroot", "daemon", "ulimit-n"}
_FILE = "deploy/haproxy.cfg"
ADVICE = {
    check_id: Advice(file, None, text)
    for check_id, file, text in (
        ("TLS001", _FILE, "http-request redirect prefix https://DOMAIN code 308 in the frontend for port 80"),
        ("TLS002", _FILE, "ssl-min-ver TLSv1.2, and crt with the whole chain and its key in one file"),
        (
            "TLS003",
            _FILE,
            "http-after-response set-header Strict-Transport-Security, in the frontend for https",
        ),
        ("TLS004", _FILE, "http-request set-header X-Forwarded-Proto https"),
        ("TLS005", _FILE, "http-request set-header X-Forwarded-For %[src]"),
        ("TLS006", _FILE, "set-header X-Forwarded-For %[src]: add-header and `option forwardfor` append"),
        ("TLS008", _FILE, "http-request return status 421 for other names in Host, in both frontends"),
        ("TLS009", _FILE, "a hook that reloads HAProxy: it reads certificates only then"),
        (
            "TLS010",
            "deploy/certificates",
            "certbot in a loop or by a timer, --deploy-hook, and /.well-known/acme-challenge/ led to it",
        ),
        ("TLS011", _FILE, "timeout tunnel of an hour, and no rule that takes Upgrade away"),
        ("TLS012", _FILE, "http-request replace-path as the app's server wants it"),
        (
            "TLS013",
            _FILE,
            "wait-for-body, then deny_status 413 if { req.body_size gt … }; tune.bufsize above it",
        ),
        (
            "TLS014",
            _FILE,
            "timeout http-request and timeout client of seconds, http-request wait-for-body time 10s",
        ),
        ("TLS015", _FILE, "timeout connect of a few seconds"),
        ("TLS016", _FILE, "alpn h2,http/1.1 in the bind line"),
        ("REP003", _FILE, "option http-server-close and http-reuse never: a connection for each request"),
    )
}


def relocate(
    command: str, copy: ProjectCopy, values: Mapping[str, str], *, domain: str, acme: Acme | None = None
) -> Relocated:
    """Rewrite the copy's file so that it runs on free loopback ports; see ``protocol.Proxy``."""
    program = Command.parse(command)
    in_container = describes_containers(copy.run.config.manager_config)
    if not in_container:
        require(program.words[-1], copy.root / ".venv", install="apt-get install haproxy")
    paths = [copy.root / file for file in program.files]
    files = {path: _read(path, name_of(path, copy), values) for path in paths}
    lines = [line for found in files.values() for line in found]
    name = name_of(paths[0], copy)
    listeners = move_binds(lines, copy, name)
    app = move_app_ports(lines, listeners.section, copy, name)
    moved = _keep_inside(lines, copy)
    said, certificate = _certify(lines, listeners.certified, copy, domain, acme, name)
    written = {path: _write(path, found, copy, number) for number, (path, found) in enumerate(files.items())}
    relocated = certbot.relocated(
        copy,
        acme,
        command=program.moved(written, copy),
        name=name,
        listeners=listeners,
        app=app,
        moved=[said, *moved],
        certificate=certificate,
    )
    if not acme and not in_container:  # else the certificate's file is not there yet, or not the program
        program.check(written, copy, values)
    return relocated


def _read(path: Path, name: str, values: Mapping[str, str]) -> list[Line]:
    if path.is_dir():
        raise StackError(f"{name}: a folder of files cannot be moved: name each file with an -f of its own")
    try:
        return read(text_of(path, name), values)
    except ValueError as error:
        raise StackError(f"{name}:{error}") from None


def _write(path: Path, lines: list[Line], copy: ProjectCopy, number: int) -> Path:
    """Write a file where it is, or beside the copy if it is not one of the project; return where."""
    target = path if path.is_relative_to(copy.root) else copy.root.with_suffix(f".{number}.haproxy.cfg")
    target.write_text("\n".join(line.text for line in lines), encoding="utf-8")
    return target


def _keep_inside(lines: list[Line], copy: ProjectCopy) -> list[str]:
    """Let HAProxy write nowhere else, as the user who runs the checks; return what was moved."""
    moved = []
    for line in lines:
        first, *words = line.words or [""]
        said = " ".join(line.words)
        if line.section[:1] == ["global"] and first in _DROPPED:
            line.drop()
            moved.append(f"{said} -> the user who runs the checks")
        elif first == "log" and words and words[0] not in {"global", "stdout", "stderr"}:
            line.set("log", "stdout", "format", "raw", *words[1:][-2:])
            moved.append(f"{said} -> standard output")
        elif first == "pidfile" and words:
            line.set(first, inside(words[0], copy))
        elif [first, *words[:1]] == ["stats", "socket"] and len(words) > 1:
            path = words[1].removeprefix("unix@")
            path = inside(path, copy) if path.startswith("/") else path
            line.set(first, "socket", path, *_without_owner(words[2:]))
            moved.append(f"{said} -> {path}")
    return moved


def _without_owner(words: list[str]) -> list[str]:
    owners = {"user", "group", "uid", "gid"}
    return [
        word
        for before, word in zip(["", *words], words, strict=False)
        if not owners.intersection((word, before))
    ]


def _certify(
    lines: list[Line], certified: list[Line], copy: ProjectCopy, domain: str, acme: Acme | None, name: str
) -> tuple[str, CertificateFiles | None]:
    """Put a certificate of the run's CA where HAProxy reads it, as long as no ACME server is there to issue one."""
    bases = [line.words[1] for line in lines if line.words[:1] == ["crt-base"] and len(line.words) > 1]
    named = [
        value
        for line in certified
        for option, value in zip(line.words, line.words[1:], strict=False)
        if option in {"crt", "crt-list"}
    ]
    if not named:
        raise StackError(f"{name}:{certified[0].number}: bind with ssl names no certificate (crt FILE)")
    file = Path(os.path.normpath(copy.root.joinpath(*bases[:1], named[0])))
    own = file.is_relative_to(copy.root) and not file.is_dir() and "crt-list" not in certified[0].words
    if acme:
        if not own:
            raise NotVerified(f"{file} is outside of the project: who renews it cannot be tried here")
        return f"the public ACME server, which certbot asks -> {acme.directory}", None
    files = CertificateFiles.beside(copy.root, domain, renews_itself=False)
    combined = file if own else files.chain
    files = replace(files, chain=combined, key=combined)
    for line in certified:
        _use(line, str(combined), only=named[0] if own else None)
    files.issue(copy.run.ca)
    return f"the certificate for {domain} -> one of the test CA", files


def _use(line: Line, file: str, *, only: str | None) -> None:
    """Let a bind line name one certificate, unless it names the right one by itself."""
    words = list(line.words)
    places = [place for place, word in enumerate(words[:-1]) if word in {"crt", "crt-list"}]
    if [words[place + 1] for place in places] == [only]:
        return
    for place in reversed(places):
        del words[place : place + 2]
    line.set(*words, "crt", file)
