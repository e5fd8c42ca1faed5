"""Traefik's dynamic files: what it does with requests, and with which certificates.

https://doc.traefik.io/traefik/reference/routing-configuration/other-providers/file/
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

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
)
from pytest_deploycheck.proxies.documents import write as write_document
from pytest_deploycheck.proxies.go_template import TemplateError, expand
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.stacks.protocol import StackError

_SERVER = re.compile(
    r"(?P<scheme>[a-z0-9]+://)(?P<host>localhost|127\.0\.0\.1|\[::1\]):(?P<port>[0-9]{1,5})(?P<path>/.*)?"
)


@dataclass(frozen=True)
class Routes:
    """The dynamic files, by where they are written when they have been moved.

    Attributes:
        names: the files as messages name them.
        documents: what stands in each, all values of the environment expanded.
    """

    names: tuple[str, ...]
    documents: dict[Path, Table]

    @classmethod
    def read(cls, provider: Table, copy: ProjectCopy, values: Mapping[str, str]) -> Self:
        """Read the files that ``providers.file`` names, and let it name where they are written.

        Those of the project are rewritten where they are, so that what changes or touches them still does; those in
        TOML and those from elsewhere get a new place.

        Raises:
            StackError: there is none, or one is wrong.
        """
        key = "filename" if get(provider, "filename") else "directory"
        source = copy.root / str(get(provider, key) or "")
        found = [source] if key == "filename" else sorted(source.rglob("*") if get(provider, key) else [])
        files = [file for file in found if file.suffix in SUFFIXES]
        if not files:
            raise StackError(
                f"Traefik's configuration: providers.file leads to no file: {get(provider, key)!r:.80}"
            )
        elsewhere = copy.root.with_suffix(".routes")
        documents: dict[Path, Table] = {}
        names = []
        for file in files:
            inside = file.is_relative_to(copy.root)
            name = str(file.relative_to(copy.root) if inside else file)
            text = text_of(file, name)
            try:
                document = parse(expand(text, values), name)
            except TemplateError as error:
                raise StackError(f"{name}:{error.line}: {error}") from None
            target = file if inside else elsewhere / file.relative_to(source.parent)
            if file.suffix == ".toml":
                target = target.with_suffix(".deploycheck.yml")
                if inside:
                    file.unlink()
            documents[target] = document
            names.append(name)
        if key == "filename":
            put(provider, key, str(next(iter(documents))))
        elif not source.is_relative_to(copy.root):
            put(provider, key, str(elsewhere / source.name))
        return cls(tuple(names), documents)

    def write(self) -> None:
        """Write all of them."""
        for file, document in self.documents.items():
            write_document(document, file)

    def routers(self) -> Iterator[Table]:
        """Yield the routers for HTTP and TCP."""
        for document in self.documents.values():
            for protocol in ("http", "tcp"):
                yield from tables(get(document, protocol, "routers"))

    def move_app_ports(self, copy: ProjectCopy) -> tuple[dict[int, int], str]:
        """Let the proxy reach the app at free ports; return old and new ports, and the address of the first server.

        Raises:
            StackError: no server is on this machine.
        """
        moves: dict[int, int] = {}
        upstream, others = "", []
        for server in self._servers():
            url = str(get(server, "url"))
            match = _SERVER.fullmatch(url)
            if match is None:
                others.append(url)
                continue
            port = int(match["port"])
            if port not in moves:
                moves[port] = copy.run.ports.take()
            put(server, "url", f"{match['scheme']}{match['host']}:{moves[port]}{match['path'] or ''}")
            host = LOOPBACK if match["host"] == "localhost" else match["host"]
            upstream = upstream or f"{host}:{moves[port]}"
        if not upstream:
            found = f", only to {', '.join(others)[:80]}" if others else ""
            raise StackError(f"{self.names[0]}: no server leads to the app on this machine{found}")
        return moves, upstream

    def _servers(self) -> Iterator[Table]:
        for document in self.documents.values():
            for service in tables(get(document, "http", "services")):
                yield from tables(get(service, "loadBalancer", "servers"))

    def certificates(self) -> list[Table]:
        """Return where the files of certificates are named."""
        found: list[Table] = []
        for document in self.documents.values():
            found += tables(get(document, "tls", "certificates"))
            for store in tables(get(document, "tls", "stores")):
                found += tables([get(store, "defaultCertificate")])
        return [table for table in found if get(table, "certFile") and get(table, "keyFile")]

    def use_certificate(self, copy: ProjectCopy, domain: str) -> CertificateFiles:
        """Put one of the run's CA where Traefik reads it, or into a new place that Traefik is told of; return it."""
        named = self.certificates()
        files = CertificateFiles.beside(copy.root, domain, renews_itself=not named)
        if not named:
            # Nothing else is known of it: Traefik takes the one that fits the name it is asked for.
            tls = inner(next(iter(self.documents.values())), "tls")
            put(tls, "certificates", [{"certFile": str(files.chain), "keyFile": str(files.key)}])
        else:
            chain, key = (copy.root / str(get(named[0], name)) for name in ("certFile", "keyFile"))
            if chain.is_relative_to(copy.root) and key.is_relative_to(copy.root):
                files = replace(files, chain=chain, key=key)
        for table in named:
            put(table, "certFile", str(files.chain))
            put(table, "keyFile", str(files.key))
        files.issue(copy.run.ca)
        return files

    def drop_resolvers(self) -> None:
        """Let no router ask for a certificate."""
        for router in self.routers():
            drop(get(router, "tls"), "certResolver")
        for document in self.documents.values():
            for store in tables(get(document, "tls", "stores")):
                drop(store, "defaultGeneratedCert")
