"""The client that all threads share."""

from __future__ import annotations

import ssl

from pytest_deploycheck.probes.http import any_certificate


def test_nobody_changes_what_a_handshake_offers() -> None:
    """Whoever sets other protocols in one thread would spoil the handshake of another."""
    context = any_certificate()
    context.set_alpn_protocols(["h2"])
    outgoing = ssl.MemoryBIO()
    connection = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        hello = outgoing.read()
    assert b"\x08http/1.1" in hello
    assert b"\x02h2" not in hello
