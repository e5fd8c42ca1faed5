"""How bytes travel: TLS itself, and what leads to it."""

from __future__ import annotations

import re
import ssl
from urllib.parse import urlsplit

from pytest_deploycheck.checks.https.public import check, is_public, plain
from pytest_deploycheck.outcome import Note, NotVerified
from pytest_deploycheck.probes import tls
from pytest_deploycheck.stacks.protocol import Stack

QUERY = "deploycheck=a%26b&again=1"
REDIRECTS = (301, 302, 307, 308)
HSTS_MIN_S = 180 * 24 * 3600
FOREIGN = "deploycheck.invalid"
NEW_TLS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
OLD_TLS = {"TLS 1.0": ssl.TLSVersion.TLSv1, "TLS 1.1": ssl.TLSVersion.TLSv1_1}


@check(
    "TLS001",
    "plain HTTP is sent to HTTPS",
    expect="one redirect (301, 302, 307 or 308) to the same host, path and query on https; or the port is closed",
    fix="redirect all plain HTTP requests to https:// with host, path and query, or do not listen there",
)
def check_plain_http_is_sent_to_https(stack: Stack, note: Note) -> None:
    """GET over plain HTTP, with path and query."""
    entry, path = stack.entry, f"{stack.config.requests.read}?{QUERY}"
    response = plain(entry, path)
    if response is None:
        note.did("nobody listens on the port for plain HTTP")
        return
    location = response.headers.get("Location", "")
    seen = f"GET http://{entry.domain}{entry.prefix}{path} was answered with {response.status_code}"
    assert response.status_code in REDIRECTS, f"{seen}, which is no redirect"
    target, wanted = urlsplit(location), urlsplit(f"https://{entry.domain}{entry.prefix}{path}")
    assert target.scheme == "https", f"{seen}, Location: {location!r}, which is not https"
    assert is_public(location, entry), f"{seen}, Location: {location!r}, which is another host or port"
    assert (target.path, target.query) == (wanted.path, wanted.query), (
        f"{seen}, Location: {location!r}, which is another path or query"
    )


@check(
    "TLS002",
    "the certificate is right and old TLS is refused",
    expect="chain and name verify with TLS 1.2 and 1.3; a wrong name does not; TLS 1.0 and 1.1 are refused",
    fix="a certificate of a public CA for the domain, and TLS 1.2 as the lowest version",
)
def check_certificate_is_right_and_old_tls_is_refused(stack: Stack, note: Note) -> None:
    """Shake hands with each version of TLS, by the right name and by a wrong one."""
    entry, ca = stack.entry, stack.copy.run.ca
    seen = {
        name: tls.handshake(entry.https_port, entry.domain, ca=ca, version=version)
        for name, version in NEW_TLS.items()
    }
    note.did(*(f"{name}: {shake.said}" for name, shake in seen.items()))
    for name, shake in seen.items():
        assert not shake.refused_certificate, (
            f"{name}: the certificate does not verify: {shake.refused_certificate}"
        )
    assert any(shake.completed for shake in seen.values()), "neither TLS 1.2 nor TLS 1.3 is answered"
    for name, version in NEW_TLS.items():
        wrong = tls.handshake(entry.https_port, FOREIGN, ca=ca, version=version)
        assert not wrong.completed, f"{name}: the certificate also verifies for {FOREIGN}"
    control = tls.offer(entry.https_port, entry.domain, version=ssl.TLSVersion.TLSv1_2)
    for name, version in OLD_TLS.items():
        old = tls.offer(entry.https_port, entry.domain, version=version)
        note.did(f"{name}: {old.said}")
        assert not old.accepted, f"{name} is accepted"
    if seen["TLS 1.2"].completed and not control.accepted:
        raise NotVerified(f"whether old TLS is refused: our own hello for TLS 1.2 is too ({control.said})")


@check(
    "TLS003",
    "browsers are told to stay on HTTPS",
    expect=f"Strict-Transport-Security with a max-age of at least {HSTS_MIN_S} s (180 days) on https, none on http",
    fix='send "Strict-Transport-Security: max-age=31536000" from the https site, and only from there',
)
def check_browsers_are_told_to_stay_on_https(stack: Stack, note: Note) -> None:
    """GET over https and over plain HTTP, and read Strict-Transport-Security."""
    path = stack.config.requests.live
    values = stack.entry.get(path).headers.get_list("Strict-Transport-Security")
    assert values, "no Strict-Transport-Security on https"
    # Browsers go by the first one: RFC 6797 section 8.1.
    found = re.search(r'(?:^|;)\s*max-age\s*=\s*"?(\d+)', values[0], re.IGNORECASE)
    assert found, f"no max-age on https: {values[0]!r}"
    note.measured(max_age_s=int(found[1]))
    assert int(found[1]) >= HSTS_MIN_S, f"max-age is {found[1]} s on https: {values[0]!r}"
    response = plain(stack.entry, path)
    on_http = response.headers.get("Strict-Transport-Security") if response is not None else None
    assert on_http is None, f"plain HTTP says it too, where browsers must ignore it: {on_http!r}"


@check(
    "TLS016",
    "HTTP/2 is offered",
    expect="h2 is chosen by ALPN, and HTTP/2 is spoken",
    fix="leave HTTP/2 switched on in the proxy: one connection then carries all requests of a page",
    should=True,
)
def check_http2_is_offered(stack: Stack, note: Note) -> None:
    """Offer h2 and http/1.1 in the TLS handshake (ALPN), and begin to speak what is chosen."""
    seen = tls.offer_http2(stack.entry.https_port, stack.entry.domain)
    note.did(f"of h2 and http/1.1 the proxy chose {seen.chosen or 'neither'}")
    assert seen.chosen == "h2", f"of h2 and http/1.1 the proxy chose {seen.chosen or 'neither'}"
    assert seen.speaks, "h2 was chosen, but what followed was not HTTP/2"
