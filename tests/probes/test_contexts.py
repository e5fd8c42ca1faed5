"""The TLS contexts of our clients."""

from __future__ import annotations

import select
import socket
import ssl
import struct

import pytest
import trustme

from pytest_deploycheck.probes.contexts import any_certificate, trusting, unverified

RESET_AT_CLOSE = struct.pack("ii", 1, 0)
CONTEXTS = {
    "shared": any_certificate(),
    "of its own": unverified(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)),
    "trusting": trusting(trustme.CA().cert_pem.bytes().decode()),
}


@pytest.mark.parametrize("context", CONTEXTS.values(), ids=CONTEXTS)
def test_who_is_gone_before_the_handshake_leaves_nothing_open(context: ssl.SSLContext) -> None:
    """Python forgets the socket; here warnings of open ones are errors."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        plain = socket.create_connection(listener.getsockname())
        accepted, _ = listener.accept()
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)
        accepted.close()
        gone = select.poll()
        gone.register(plain, 0)
        assert gone.poll(5000)
        with pytest.raises(ConnectionResetError):
            context.wrap_socket(plain, server_hostname="localhost")


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
