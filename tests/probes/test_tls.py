"""The TLS probe tells a server's refusal from its own, and an old version from a new one."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator

import pytest
import trustme

from pytest_deploycheck.probes.tls import handshake, offer

NAME = "notes.example.com"


@contextlib.contextmanager
def server(lowest: ssl.TLSVersion, highest: ssl.TLSVersion, ca: trustme.CA) -> Iterator[int]:
    """Run a TLS server on loopback; yield its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert(NAME).configure_cert(context)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = lowest, highest

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    context.wrap_socket(connection, server_side=True).close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    """Return a test CA."""
    return trustme.CA()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_2])
def test_offer_of_a_version_is_accepted_by_a_server_that_has_it(
    version: ssl.TLSVersion, ca: trustme.CA
) -> None:
    """An old server answers an old hello, whatever the OpenSSL of this machine would offer by itself."""
    with server(ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_2, ca) as port:
        assert offer(port, NAME, version=version).accepted


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_offer_of_an_old_version_is_refused_by_an_alert(version: ssl.TLSVersion, ca: trustme.CA) -> None:
    """A server of today says alert 70, protocol_version."""
    with server(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, ca) as port:
        seen = offer(port, NAME, version=version)
        assert not seen.accepted
        assert seen.said.startswith("alert 70")


def test_handshake_verifies_chain_and_name(ca: trustme.CA) -> None:
    """Only the right name and the right CA complete it."""
    versions = {"version": ssl.TLSVersion.TLSv1_2}
    with server(ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, ca) as port:
        assert handshake(port, NAME, ca=ca, **versions).completed
        assert "match" in handshake(port, "other.example.com", ca=ca, **versions).refused_certificate
        assert handshake(port, NAME, ca=trustme.CA(), **versions).refused_certificate
        missing = handshake(port, NAME, ca=ca, version=ssl.TLSVersion.TLSv1_3)
        assert not missing.completed
        assert not missing.refused_certificate
