"""Certificates end, and others take their place."""

from __future__ import annotations

from pytest_deploycheck.checks.https.public import check
from pytest_deploycheck.experiments.issuance import ISSUE_DEADLINE_S, Issued, issue_and_renew
from pytest_deploycheck.experiments.renewals import SERVED_DEADLINE_S, Renewed, renew_certificate
from pytest_deploycheck.outcome import Note


@check(
    "TLS009",
    "a renewed certificate is served",
    expect="new connections get the new certificate within seconds, and no request fails",
    fix="let renewal_hook reload the proxy, which keeps its connections, instead of restarting it",
    experiment=renew_certificate,
)
def check_renewed_certificate_is_served(experiment: Renewed, note: Note) -> None:
    """Replace the certificate's files, run the project's renewal_hook, and keep sending over open connections."""
    seen, hook = experiment, experiment.hook
    note.measured(served_s=_rounded(seen.served_s), requests=len(seen.traffic.answers))
    if hook:
        assert hook.status == 0, f"{hook.command} ended with status {hook.status}: {hook.tail()}"
    assert seen.served_s is not None, (
        f"{SERVED_DEADLINE_S:.0f} s later new connections still got the old certificate"
    )
    assert not seen.traffic.failed, f"meanwhile: {seen.traffic.summary()}"
    assert seen.slow.ok, f"the request that was in flight ended with {seen.slow.status}"


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)


@check(
    "TLS010",
    "certificates are issued and renewed by themselves",
    expect="a certificate soon after the start, another one before it expires, and no failed request",
    fix="let the proxy, or certbot beside it under the same manager, get the certificate, and renew it in time",
    experiment=issue_and_renew,
)
def check_certificates_renew_themselves(experiment: Issued, note: Note) -> None:
    """Start a stack with no certificate; a real ACME server (pebble) issues some that soon expire."""
    seen = experiment
    note.measured(valid_s=seen.valid_s, issued_s=_rounded(seen.issued_s), renewed_s=_rounded(seen.renewed_s))
    assert seen.start.alive_s, f"it does not start before it has a certificate: {seen.start.describe()}"
    assert seen.issued_s is not None, f"{ISSUE_DEADLINE_S:.0f} s after the start none was served\n{seen.log}"
    assert seen.renewed_s is not None, f"the first one expired and no other was served\n{seen.log}"
    assert seen.traffic is not None
    assert not seen.traffic.failed, f"meanwhile: {seen.traffic.summary()}"
