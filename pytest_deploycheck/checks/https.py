"""Security - HTTPS: who can read along, who the app talks to, and who can get round the proxy."""

from __future__ import annotations

import functools
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from pytest_deploycheck.check import check as any_check
from pytest_deploycheck.experiments.issuance import ISSUE_DEADLINE_S, Issued, issue_and_renew
from pytest_deploycheck.experiments.renewals import SERVED_DEADLINE_S, Renewed, renew_certificate
from pytest_deploycheck.experiments.slow_clients import Slowed, send_slowly
from pytest_deploycheck.experiments.stops import Stopped, stop_and_start
from pytest_deploycheck.need import Need
from pytest_deploycheck.outcome import NotApplicable, Note, NotVerified
from pytest_deploycheck.probes import stranger, tls
from pytest_deploycheck.probes.api_docs import PAGE, read_docs
from pytest_deploycheck.probes.http import Entry
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.probes.uploads import upload
from pytest_deploycheck.probes.websocket import converse
from pytest_deploycheck.stacks.protocol import Stack

Headers = tuple[tuple[str, str], ...]

check = functools.partial(any_check, needs=(Need.PROXY,))  # the public entry is the proxy

QUERY = "deploycheck=a%26b&again=1"
REDIRECTS = (301, 302, 307, 308)
HSTS_MIN_S = 180 * 24 * 3600
PROMPT_S = 6.0
CLIENT = "127.0.0.2"
FORGED = "192.0.2.66"
FOREIGN = "deploycheck.invalid"
NEW_TLS = {"TLS 1.2": ssl.TLSVersion.TLSv1_2, "TLS 1.3": ssl.TLSVersion.TLSv1_3}
SLOW_S = 30.0
SERVED_S = 3.0
MIB = 1 << 20
USUAL_BODY = 2 * MIB
# Where no limit is declared: a body that nobody means to let in, and how much of it is sent before giving up.
HUGE_BODY, PATIENT_BODY = 1024 * MIB, 32 * MIB
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
    response = _plain(entry, path)
    if response is None:
        note.did("nobody listens on the port for plain HTTP")
        return
    location = response.headers.get("Location", "")
    seen = f"GET http://{entry.domain}{entry.prefix}{path} was answered with {response.status_code}"
    assert response.status_code in REDIRECTS, f"{seen}, which is no redirect"
    target, wanted = urlsplit(location), urlsplit(f"https://{entry.domain}{entry.prefix}{path}")
    assert target.scheme == "https", f"{seen}, Location: {location!r}, which is not https"
    assert _is_public(location, entry), f"{seen}, Location: {location!r}, which is another host or port"
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
    plain = _plain(stack.entry, path)
    on_http = plain.headers.get("Strict-Transport-Security") if plain is not None else None
    assert on_http is None, f"plain HTTP says it too, where browsers must ignore it: {on_http!r}"


@check(
    "TLS004",
    "the app knows it is behind HTTPS",
    expect="https:// and the public host, without a port of the inside",
    fix="the proxy passes Host and X-Forwarded-Proto on, and the app's server trusts the proxy (only the proxy)",
)
def check_app_knows_it_is_behind_https(stack: Stack, note: Note) -> None:
    """Ask the app for its own URL, and for the redirect of a path with a slash too many or too few."""
    entry = stack.entry
    url = entry.echo()["url"]
    assert _is_public(url, entry), f"the app takes its URL to be {url}"
    read = stack.config.requests.read
    other = read.removesuffix("/") if read.endswith("/") else f"{read}/"
    response = entry.get(other)
    note.did(f"GET {other} was answered with {response.status_code}")
    if response.is_redirect:
        location = urljoin(f"https://{entry.domain}{entry.prefix}{other}", response.headers["Location"])
        assert _is_public(location, entry), f"GET {other} redirects to {location}"


@check(
    "TLS005",
    "the app sees the real client",
    expect="two different client addresses, the true ones",
    fix="the proxy passes X-Forwarded-For on, and the app's server trusts the proxy (only the proxy)",
)
def check_app_sees_the_real_client(stack: Stack) -> None:
    """Send requests through the proxy from two loopback addresses."""
    sources = ("127.0.0.1", CLIENT)
    seen = {source: stack.entry.echo(source=source)["client"] for source in sources}
    assert all(client == source for source, client in seen.items()), "; ".join(
        f"the client at {source} is {client} to the app" for source, client in seen.items()
    )


@check(
    "TLS006",
    "a client cannot forge who it is",
    expect="the app takes client, scheme and host for the same as without the forged headers",
    fix="the proxy overwrites X-Forwarded-*, and the app believes them of nobody but the proxy",
)
def check_client_cannot_forge_who_it_is(stack: Stack, note: Note) -> None:
    """Send forged headers through the proxy, and straight to the app where it can be reached."""
    entry, upstream = stack.entry, stack.upstream
    through = entry.arguments("GET", f"{MARK}echo")
    own = list(through.pop("headers").items())
    with entry.client(source=CLIENT) as client:
        _assert_nothing_changes(
            lambda forged: client.request(**through, headers=[*own, *forged]), "the proxy"
        )
    note.did(f"{len(FORGERIES)} kinds of forged headers through the proxy")
    if upstream.socket is not None:
        return  # nobody but the proxy can be there: TLS007
    note.did(f"the same from {CLIENT}, straight at {upstream.address}")
    path = f"{entry.prefix}{MARK}echo"
    try:
        _assert_nothing_changes(
            lambda forged: upstream.get(path, source=CLIENT, headers=[*own, *forged]), upstream.address
        )
    except httpx2.TransportError as error:
        note.did(f"it cannot be reached: {error}")


FORGERIES: tuple[Headers, ...] = (
    (("X-Forwarded-For", FORGED),),
    (("X-Forwarded-For", f"{FORGED}, 192.0.2.77"),),
    (("X-Forwarded-For", FORGED), ("X-Forwarded-For", FORGED)),
    (("X-Forwarded-For", "127.0.0.1"),),
    (("X-Real-IP", FORGED),),
    (("Forwarded", f"for={FORGED};proto=http;host={FOREIGN}"),),
    (("X-Forwarded-Proto", "http"),),
    (("X-Forwarded-Proto", "https"),),
    (("X-Forwarded-Host", FOREIGN), ("X-Forwarded-Port", "1")),
)


def _assert_nothing_changes(send: Callable[[Headers], httpx2.Response], where: str) -> None:
    """Assert that the app's view of a request is the same with each of the forgeries as with none."""
    true = send(()).raise_for_status().json()
    for forged in FORGERIES:
        response = send(forged)
        if response.is_client_error:
            continue  # refused, so not believed
        sent, seen = "; ".join(f"{name}: {value}" for name, value in forged), response.json()
        for name in ("client", "scheme", "host"):
            assert seen[name] == true[name], (
                f"sent to {where}, `{sent}` makes the app take the {name} for {seen[name]}, without it {true[name]}"
            )


@check(
    "TLS007",
    "nothing goes round the proxy",
    expect="another user, or another address than the proxy's, gets no connection to the app",
    fix="let the app listen on a unix socket in a private folder, or on 127.0.0.1 only",
)
def check_nothing_goes_round_the_proxy(stack: Stack, note: Note) -> None:
    """Connect to the app as another user, and at another address than the proxy does."""
    path = stack.upstream.socket
    if path is not None:
        attempt = stranger.connect_as_other_user(path, below=stack.copy.root)
        note.did(f"another user at the app's socket: {attempt.said}")
        assert not attempt.connected, f"another user of this machine can connect to it: {attempt.said}"
    for host, port in sorted(stranger.listeners(stack.processes().tree)):
        taken = stranger.reached_from_elsewhere(host, port)
        note.did(f"the app listens on {host}:{port}: {'open' if taken else 'refused'} at another address")
        assert taken is None, f"the app listens on {host}:{port}, and takes connections to {taken} too"


@check(
    "TLS008",
    "a foreign Host is refused",
    expect="4xx (421 says it best) or a closed connection, never the name in a redirect",
    fix="serve the domain by its name only, and answer all other names with 421, on https and on http",
)
def check_foreign_host_is_refused(stack: Stack, note: Note) -> None:
    """Ask for a name that is not ours: as Host on https and http, and as the name of the TLS handshake."""
    ways: dict[str, dict[str, Any]] = {
        "https": {},
        "https, also in the handshake": {"extensions": {"sni_hostname": FOREIGN}},
        "http": {"https": False},
    }
    for how, more in ways.items():
        try:
            response = stack.entry.get(f"{MARK}echo", host=FOREIGN, **more)
        except httpx2.TimeoutException:
            raise AssertionError(f"Host: {FOREIGN} over {how} was not answered in time") from None
        except httpx2.TransportError as error:
            note.did(f"{how}: closed ({error})")
            continue
        location = response.headers.get("Location", "")
        seen = f"Host: {FOREIGN} over {how} was answered with {response.status_code} {location}".rstrip()
        note.did(seen)
        to_us = response.status_code in REDIRECTS and _is_public(location, stack.entry)
        assert to_us or 400 <= response.status_code < 500, seen


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


@check(
    "TLS011",
    "websockets pass",
    expect="101 and the text back; a plain GET on the same address is no server error",
    fix="the proxy passes Upgrade and Connection on; the app's server has websockets (Uvicorn: pip install websockets)",
)
def check_websockets_pass(stack: Stack, note: Note) -> None:
    """Open a websocket over TLS from a page of the same site, send a text; GET the same address without upgrade."""
    seen = converse(stack.entry, f"{MARK}ws", text="deploycheck")
    note.did(f"the websocket was answered with {seen.said}")
    assert seen.agreed, f"the websocket was refused: {seen.said}"
    assert seen.reply == "deploycheck", f"the text did not come back: {seen.reply!r} ({seen.said})"
    status = stack.entry.status(f"{MARK}ws")
    note.did(f"the plain GET was answered with {status}")
    assert isinstance(status, int), f"a plain GET on the same address was not answered: {status}"
    assert status < 500, f"a plain GET on the same address was answered with {status}"


@check(
    "TLS012",
    "docs work under a path prefix",
    expect="page and schema load, and requests go to addresses below the public prefix that the app knows",
    fix="tell the app where the proxy serves it: root_path (Uvicorn: --root-path), and no servers of your own machine",
)
def check_docs_work_under_a_path_prefix(stack: Stack, note: Note) -> None:
    """Load /docs and its schema as a browser does, and send one of the requests that "Try it out" offers."""
    entry, requests = stack.entry, stack.config.requests
    docs = read_docs(entry)
    if docs.status in (401, 403, 404):
        raise NotApplicable(f"{PAGE} was answered with {docs.status}: there are no docs for the public")
    seen = f"{entry.prefix}{PAGE} was answered with {docs.status}"
    assert docs.schema_url, f"{seen} and names no schema"
    assert docs.schema_status == 200, (
        f"{seen}; its schema {docs.schema_url} with {docs.schema_status or 'nobody'}"
    )
    assert docs.operations is not None
    note.did(f"{seen}; servers of its schema: {', '.join(docs.servers)}")
    known = {
        path for path in docs.operations if path.endswith((requests.live, requests.ready, requests.read))
    }
    path = min(known or docs.operations, default=None)
    if path is None:
        return
    address = docs.operations[path]
    assert _is_public(address, entry), f'"Try it out" sends GET {path} to {address}'
    status = replace(entry, prefix="").status(urlsplit(address).path)
    note.did(f"GET {address} was answered with {status}")
    assert isinstance(status, int), f'"Try it out" sends GET {path} to {address}: {status}'
    assert status not in (404, 405), (
        f'"Try it out" sends GET {path} to {address}, which was answered with {status}'
    )
    assert status < 500, f'"Try it out" sends GET {path} to {address}, which was answered with {status}'


@check(
    "TLS013",
    "an oversize body stops at the proxy",
    expect="2xx for 2 MiB; 413 above the limit, with a Content-Length and without, and the app never has all of it",
    fix="limit the request body in the proxy, and set max_body_mb in [tool.deploycheck] to the same",
)
def check_oversize_body_stops_at_the_proxy(stack: Stack, note: Note) -> None:
    """POST 2 MiB, and more than the declared limit (max_body_mb) with a Content-Length and in chunks."""
    limit, path, began = stack.config.max_body_mb, f"{MARK}body", time.monotonic()
    usual = min(USUAL_BODY, (limit or 1024) * MIB * 9 // 10)
    seen = upload(stack.entry, path, usual)
    assert seen.status in range(200, 300), f"{usual} bytes were answered with: {seen.said}"
    if limit:
        size = (limit + 1) * MIB
        ways = {
            f"{size} bytes with Content-Length": upload(stack.entry, path, size),
            f"{size} bytes in chunks": upload(stack.entry, path, size, chunked=True),
        }
    else:
        what = f"a Content-Length of {HUGE_BODY} bytes (max_body_mb is not set)"
        ways = {what: upload(stack.entry, path, PATIENT_BODY, declared=HUGE_BODY)}
    for way, seen in ways.items():
        note.did(f"{way}: {seen.said}, after {seen.sent} bytes")
        assert seen.status == 413, f"{way}: {seen.said}, after {seen.sent} bytes"
    largest = max(event.data["size"] for event in stack.copy.events.named("body", since=began))
    assert largest <= usual, f"the app had a whole body of {largest} bytes"


@check(
    "TLS014",
    "a slow client holds nobody up",
    expect=f"all slow connections are ended within {SLOW_S:.0f} s, or, of bodies, one address may send a few at a "
    f"time only; the others are served meanwhile, 95 of 100 within {SERVED_S:.0f} s",
    fix="let the proxy give up on handshakes, headers and bodies that take too long",
    experiment=send_slowly,
)
def check_slow_client_holds_nobody_up(experiment: Slowed, note: Note) -> None:
    """Hold hundreds of connections that send handshake, header or body a byte a second, and send ordinary requests."""
    seen, others, among = experiment, experiment.others, experiment.among_bodies
    few_bodies = among.let_in <= among.begun / 2
    p95_s = others.percentile_s(95)
    note.measured(
        bodies_let_in=f"{among.let_in} of {among.begun}",
        slow_connections=sum(seen.connected.values()),
        slowest_s={name: round(time_s, 1) for name, time_s in seen.slowest_s.items()},
        others=len(others.answers),
        others_p95_s=round(p95_s, 3),
    )
    for name, left in seen.left.items():
        if name == "body" and few_bodies:
            continue  # nginx ends no body that comes byte by byte, but may refuse the most of them
        assert not left, (
            f"{left} of {seen.connected[name]} that sent the {name} slowly were held for {SLOW_S:.0f} s"
        )
        slowest_s = seen.slowest_s[name]
        assert slowest_s <= SLOW_S, f"one that sent the {name} slowly was held for {slowest_s:.0f} s"
    assert others.answers, "no request of others was even sent"
    assert not others.failed, f"others were not served meanwhile: {others.summary()}"
    assert p95_s <= SERVED_S, f"others waited: 95 of 100 were answered within {p95_s:.1f} s"
    assert not among.others.failed, (
        f"others were not served while hundreds sent a body: {among.others.summary()}"
    )
    p95_s = among.others.percentile_s(95)
    assert p95_s <= SERVED_S, f"others waited while hundreds sent a body: 95 of 100 took up to {p95_s:.1f} s"


@check(
    "TLS015",
    "the proxy survives the app",
    expect=f"502, 503 or 504 within {PROMPT_S:.0f} s while the app is down, then 200 by the same proxy process",
    fix="let the proxy give up soon when the app does not answer, and connect anew for later requests",
    experiment=stop_and_start,
)
def check_proxy_survives_the_app(experiment: Stopped, note: Note) -> None:
    """Stop the app, ask, start the app, ask."""
    seen, down = experiment, experiment.while_down
    took_s = down.end - down.start
    note.measured(answer_while_down_s=round(took_s, 2), back_s=seen.back_s and round(seen.back_s, 2))
    assert down.status in (502, 503, 504), f"{down.status} after {took_s:.1f} s while the app was down"
    assert took_s <= PROMPT_S, f"{down.status} only after {took_s:.1f} s while the app was down"
    assert seen.back_s is not None, "no 200 after the app was started again"
    assert seen.proxy_after == seen.proxy_before, (
        f"another process listens on the public port: pid {seen.proxy_before} before, {seen.proxy_after} after"
    )


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


def _plain(entry: Entry, path: str) -> httpx2.Response | None:
    """GET over plain HTTP; None if nobody listens there."""
    try:
        return entry.get(path, https=False)
    except httpx2.ConnectError:
        return None


def _is_public(url: str, entry: Entry) -> bool:
    """Tell whether a URL is https at the public host; the sandbox's own port stands for 443."""
    parts = urlsplit(url)
    ours = (parts.scheme, parts.hostname) == ("https", entry.domain.lower())
    return ours and parts.port in (None, 443, entry.https_port)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 2)
