"""TLS as the public meets it: handshakes that verify the certificate, and offers of versions, old and new."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from dataclasses import dataclass

import trustme

from pytest_deploycheck.probes.contexts import trusting, unverified
from pytest_deploycheck.sandbox.ports import LOOPBACK

TIMEOUT_S = 10.0
ALERT, HANDSHAKE = 21, 22
# ECDHE and RSA, with AES in GCM (from TLS 1.2 on) and CBC: a server of any age finds one, whatever key it has.
CIPHERS = (0xC02B, 0xC02F, 0xC009, 0xC00A, 0xC013, 0xC014, 0x009C, 0x002F, 0x0035)
GROUPS = (0x001D, 0x0017, 0x0018)
HTTP2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EMPTY_SETTINGS = struct.pack("!BHBBI", 0, 0, 4, 0, 0)  # length, type 4, flags, stream
SIGNATURES = (0x0403, 0x0804, 0x0401, 0x0503, 0x0501, 0x0203, 0x0201)


@dataclass(frozen=True, kw_only=True)
class Handshake:
    """One handshake.

    Attributes:
        completed: keys were agreed on, and the certificate's chain and name verify.
        refused_certificate: why the certificate does not verify; empty if it does, or if the server ended it first.
        said: the negotiated version, or the error.
    """

    completed: bool
    refused_certificate: str
    said: str


def handshake(
    port: int, name: str, *, ca: trustme.CA, version: ssl.TLSVersion, host: str = LOOPBACK
) -> Handshake:
    """Connect as ``name`` with exactly one version of TLS, and trust only ``ca``."""
    context = trusting(ca.cert_pem.bytes().decode())
    context.minimum_version = context.maximum_version = version
    try:
        with (
            socket.create_connection((host, port), timeout=TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=name) as wrapped,
        ):
            return Handshake(completed=True, refused_certificate="", said=wrapped.version() or "")
    except ssl.SSLCertVerificationError as error:
        return Handshake(completed=False, refused_certificate=error.verify_message, said=str(error))
    except OSError as error:
        return Handshake(completed=False, refused_certificate="", said=str(error) or type(error).__name__)


def served_certificate(port: int, name: str, *, host: str = LOOPBACK) -> bytes | None:
    """Return the certificate (DER) that a new connection gets, whoever signed it; None if there is no handshake."""
    context = unverified(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    try:
        with (
            socket.create_connection((host, port), timeout=TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=name) as wrapped,
        ):
            return wrapped.getpeercert(binary_form=True)
    except OSError:
        return None


def trusted_certificate(port: int, name: str, *, root: str, host: str = LOOPBACK) -> bytes | None:
    """Return the certificate (DER) that a new connection gets; None if it is not valid for ``name`` under ``root``."""
    context = trusting(root)
    try:
        with (
            socket.create_connection((host, port), timeout=TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=name) as wrapped,
        ):
            return wrapped.getpeercert(binary_form=True)
    except OSError:
        return None


@dataclass(frozen=True, kw_only=True)
class Http2:
    """How a server answers the offer of HTTP/2: what it chose by ALPN, and whether it then speaks HTTP/2."""

    chosen: str | None
    speaks: bool


def offer_http2(port: int, name: str, *, host: str = LOOPBACK) -> Http2:
    """Offer ``h2`` and ``http/1.1`` by ALPN; where ``h2`` is chosen, begin to speak it: RFC 9113 section 3.4.

    Raises:
        OSError: no handshake.
    """
    context = unverified(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    context.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection((host, port), timeout=TIMEOUT_S) as connection,
        context.wrap_socket(connection, server_hostname=name) as wrapped,
    ):
        chosen = wrapped.selected_alpn_protocol()
        if chosen != "h2":
            return Http2(chosen=chosen, speaks=False)
        wrapped.sendall(HTTP2_PREFACE + EMPTY_SETTINGS)
        header = _read(wrapped, len(EMPTY_SETTINGS))
        return Http2(chosen=chosen, speaks=header[3:4] == EMPTY_SETTINGS[3:4])


@dataclass(frozen=True, kw_only=True)
class Offer:
    """What a server said to the offer of one version: ``accepted``, or how it refused."""

    accepted: bool
    said: str


def offer(port: int, name: str, *, version: ssl.TLSVersion, host: str = LOOPBACK) -> Offer:
    """Offer one version up to 1.2 by a hello of our own, and read the first record of the answer.

    Today's OpenSSL does not offer old versions, or not with usable ciphers; its own refusal is not the server's.
    """
    with socket.create_connection((host, port), timeout=TIMEOUT_S) as connection:
        try:
            connection.sendall(client_hello(name, version))
            answer = _read(connection, 7)
        except OSError as error:
            return Offer(accepted=False, said=f"ended the connection ({type(error).__name__})")
    if len(answer) < 7:
        return Offer(accepted=False, said="ended the connection")
    kind, _, _, level, description = struct.unpack("!BHHBB", answer)
    if kind == ALERT:
        return Offer(accepted=False, said=f"alert {description} (level {level})")
    return Offer(accepted=kind == HANDSHAKE, said=f"a record of type {kind}")


def _read(connection: socket.socket, count: int) -> bytes:
    """Read ``count`` bytes, less if the connection ends."""
    data = b""
    while len(data) < count and (more := connection.recv(count - len(data))):
        data += more
    return data


def client_hello(name: str, version: ssl.TLSVersion) -> bytes:
    """Return the first record of a handshake: RFC 5246 section 7.4.1.2, and the extensions of RFC 8422 and RFC 6066."""
    server_name = name.encode("idna")
    extensions = b"".join(
        (
            _extension(0x0000, _sized(b"\0" + _sized(server_name))),
            _extension(0x000A, _sized(_numbers(GROUPS))),
            _extension(0x000B, b"\x01\x00"),
            _extension(0x000D, _sized(_numbers(SIGNATURES))),
            _extension(0xFF01, b"\x00"),
        )
    )
    body = (
        struct.pack("!H", version)
        + os.urandom(32)
        + b"\x00"  # no session to resume
        + _sized(_numbers(CIPHERS))
        + b"\x01\x00"  # no compression
        + _sized(extensions)
    )
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    return struct.pack("!BH", HANDSHAKE, ssl.TLSVersion.TLSv1) + _sized(message)


def _sized(data: bytes) -> bytes:
    return struct.pack("!H", len(data)) + data


def _numbers(values: tuple[int, ...]) -> bytes:
    return struct.pack(f"!{len(values)}H", *values)


def _extension(number: int, data: bytes) -> bytes:
    return struct.pack("!H", number) + _sized(data)
