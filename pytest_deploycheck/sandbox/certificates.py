"""Certificates of the run's own CA, where the proxy of a stack reads them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

import trustme


@dataclass(frozen=True, kw_only=True)
class CertificateFiles:
    """Where a relocated proxy reads its certificate; one file may hold chain and key.

    Attributes:
        renews_itself: whether the proxy gets renewed certificates from their issuer itself, and needs no hook for it.
    """

    chain: Path
    key: Path
    renews_itself: bool

    def issue(self, ca: trustme.CA, domain: str) -> bytes:
        """Put a new certificate there, as a renewal does; return it (DER)."""
        issued = ca.issue_cert(domain)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        self.key.unlink(missing_ok=True)
        self.key.touch(mode=0o600)
        self.key.write_bytes(issued.private_key_pem.bytes())
        if self.chain == self.key:
            chain += self.key.read_bytes()
        self.chain.write_bytes(chain)
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())
