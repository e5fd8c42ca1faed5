"""Certificates from a real ACME server, when something is wrong with it, or with where they are kept."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from harness import PROGRAMS_OF

from pytest_deploycheck.probes.answer import is_good
from pytest_deploycheck.probes.tls import trusted_certificate
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.reader import load
from pytest_deploycheck.sandbox.acme_server import PROGRAMS, AcmeServer, acme_at
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import start_and_watch
from pytest_deploycheck.workshop import Workshop

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not all(shutil.which(program, path=SYSTEM_PATH) for program in PROGRAMS),
        reason="apt-get install pebble",
    ),
]
DEADLINE_S = 20.0
# Where certificates are kept; the second one is where certbot's hook brings them to.
STORES: dict[str, Callable[[Path], tuple[Path, ...]]] = {
    "caddy": lambda root: (root.with_suffix(".caddy"),),
    "traefik": lambda root: (root / "var/traefik/acme.json",),
    "nginx": lambda root: (root / "var/letsencrypt", root / "var/tls"),
    "haproxy": lambda root: (root / "var/letsencrypt", root / "var/tls"),
}


@pytest.fixture(params=STORES)
def project(request: pytest.FixtureRequest, baked: Callable[..., Path]) -> Path:
    """Return a project with each of the proxies."""
    for program in PROGRAMS_OF.get(request.param, ()):
        if not shutil.which(program, path=SYSTEM_PATH):
            pytest.skip(f"apt-get install {program}")
    return baked(app_server="gunicorn", https_proxy=request.param)


def remove(path: Path) -> None:
    """Remove a file, or a folder and all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def issuing(project: Path) -> Iterator[tuple[Stack, AcmeServer]]:
    """Make a stack, not started yet, and the ACME server that it asks."""
    workshop = Workshop(load(project))
    try:
        port = workshop.run.ports.take()
        stack = workshop.stack(acme=acme_at(workshop.run, port))
        ports = {"http_port": stack.entry.http_port, "https_port": stack.entry.https_port}
        yield stack, AcmeServer(workshop.run, **ports, valid_s=stack.certificates_live_s, directory_port=port)
    finally:
        workshop.close()


def logs(stack: Stack) -> str:
    """Return all that the stack has logged."""
    return "".join(file.read_text(encoding="utf-8", errors="replace") for file in stack.log_files())


def wait_for_certificate(stack: Stack, server: AcmeServer, *, other_than: bytes | None = None) -> bytes:
    """Return the certificate that is served once it is one of the ACME server."""
    seen = wait_for(
        lambda: trusted_certificate(stack.entry.https_port, stack.entry.domain, root=server.root),
        lambda found: found not in (None, other_than),
        deadline_s=DEADLINE_S,
    )
    assert seen not in (None, other_than), logs(stack)
    assert seen is not None
    return seen


def test_old_certificate_is_served_while_the_issuer_is_down(
    project: Path, pytestconfig: pytest.Config
) -> None:
    """A renewal that fails changes nothing for those who come, and the log tells it."""
    with issuing(project) as (stack, server):
        if stack.parts["proxy"] == "traefik" and not pytestconfig.option.sabotage_all:
            pytest.skip("Traefik looks after its certificates once a minute: runs with --sabotage-all")
        assert start_and_watch(stack).served, logs(stack)
        first = wait_for_certificate(stack, server)
        server.close()

        def told() -> bool:
            stack.pass_time()
            return "connection refused" in logs(stack).lower()

        assert wait_for(told, bool, deadline_s=stack.certificates_live_s, every_s=0.5), logs(stack)
        seen = trusted_certificate(stack.entry.https_port, stack.entry.domain, root=server.root)
        assert seen == first
        assert is_good(stack.entry.status(stack.config.requests.read))


def test_a_lost_store_is_filled_again(project: Path) -> None:
    """Who loses the stored certificates gets new ones at the next start."""
    with issuing(project) as (stack, server):
        start_and_watch(stack)
        first = wait_for_certificate(stack, server)
        stack.end()
        for store in STORES[stack.parts["proxy"]](stack.copy.root):
            assert store.exists()
            remove(store)
        start_and_watch(stack)
        wait_for_certificate(stack, server, other_than=first)


def test_a_store_that_cannot_be_written_is_told(project: Path) -> None:
    """Nobody gets a certificate, and the log names the store."""
    with issuing(project) as (stack, server):
        store = STORES[stack.parts["proxy"]](stack.copy.root)[0]
        if store.suffix == ".json":
            store.mkdir(parents=True)
        else:
            store.parent.mkdir(exist_ok=True)
            store.write_text("a file where a folder should be")
        start_and_watch(stack, deadline_s=DEADLINE_S)
        assert wait_for(lambda: str(Path(*store.parts[-2:])) in logs(stack), bool, deadline_s=DEADLINE_S), (
            logs(stack)
        )
        assert trusted_certificate(stack.entry.https_port, stack.entry.domain, root=server.root) is None
