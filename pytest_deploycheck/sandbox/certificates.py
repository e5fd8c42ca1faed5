"""Certificates of the run's own CA, where the proxy of a stack reads them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

# A run takes minutes, and the clocks of one machine agree.
LIFE = timedelta(days=1)


def issued_for(name: str, ca: trustme.CA) -> trustme.LeafCert:
    """Issue a certificate for a host name or an address that outlives the run by little."""
    now = datetime.now(UTC)
    return ca.issue_cert(name, not_before=now - LIFE, not_after=now + LIFE)


@dataclass(frozen=True, kw_only=True)
class CertificateFiles:
    """Where a relocated proxy reads its certificate; one file may hold chain and key.

    Attributes:
        domain: the name in it.
        chain, key: the files.
        lineage: the folder that certbot would keep it in, and tell its hooks as ``RENEWED_LINEAGE``:
            https://eff-certbot.readthedocs.io/en/stable/using.html#renewing-certificates
        renews_itself: whether the proxy gets renewed certificates from their issuer itself, and needs no hook for it.
    """

    domain: str
    chain: Path
    key: Path
    lineage: Path
    renews_itself: bool

    @classmethod
    def beside(cls, root: Path, domain: str, *, renews_itself: bool) -> CertificateFiles:
        """Return files beside the project's copy in ``root``."""
        return cls(
            domain=domain,
            chain=root.with_suffix(".crt"),
            key=root.with_suffix(".key"),
            lineage=root.with_suffix(".lineage"),
            renews_itself=renews_itself,
        )

    def issue(self, ca: trustme.CA) -> bytes:
        """Put a new certificate there, as a renewal does; return it (DER)."""
        issued = issued_for(self.domain, ca)
        chain = b"".join(blob.bytes() for blob in issued.cert_chain_pems)
        key = issued.private_key_pem.bytes()
        files = {self.key: key, self.lineage / "privkey.pem": key}
        files |= {self.chain: chain, self.lineage / "fullchain.pem": chain}
        if self.chain == self.key:
            files[self.chain] = chain + key
        for file, content in files.items():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.touch(mode=0o600)
            file.write_bytes(content)
        return ssl.PEM_cert_to_DER_cert(issued.cert_chain_pems[0].bytes().decode())

    @property
    def hook_environment(self) -> dict[str, str]:
        """What certbot tells a hook after a renewal."""
        return {"RENEWED_LINEAGE": str(self.lineage), "RENEWED_DOMAINS": self.domain}
