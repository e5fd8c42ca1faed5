"""Who is who: the client, the public name, and nobody who goes round the proxy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx2

from pytest_deploycheck.checks.https.public import check, is_public
from pytest_deploycheck.outcome import NotApplicable, Note
from pytest_deploycheck.probes import stranger
from pytest_deploycheck.probes.api_docs import PAGE, read_docs
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.stacks.protocol import Stack

Headers = tuple[tuple[str, str], ...]
REDIRECTS = (301, 302, 307, 308)
CLIENT = "127.0.0.2"
FORGED = "192.0.2.66"
FOREIGN = "deploycheck.invalid"
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
    assert is_public(url, entry), f"the app takes its URL to be {url}"
    read = stack.config.requests.read
    other = read.removesuffix("/") if read.endswith("/") else f"{read}/"
    response = entry.get(other)
    note.did(f"GET {other} was answered with {response.status_code}")
    if response.is_redirect:
        location = urljoin(f"https://{entry.domain}{entry.prefix}{other}", response.headers["Location"])
        assert is_public(location, entry), f"GET {other} redirects to {location}"


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
    published = stack.published()
    for host, port in sorted(stranger.listeners(stack.processes().tree) | published):
        taken = stranger.reached_from_elsewhere(host, port)
        note.did(f"the app listens on {host}:{port}: {'open' if taken else 'refused'} at another address")
        assert taken is None, f"the app listens on {host}:{port}, and takes connections to {taken} too"
    public = sorted(place for place in published if not stranger.is_loopback(place[0]))
    assert not public, (
        f"the engine publishes the app at {public[0][0]}:{public[0][1]}, though nobody answered there"
    )


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
        to_us = response.status_code in REDIRECTS and is_public(location, stack.entry)
        assert to_us or 400 <= response.status_code < 500, seen


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
    assert is_public(address, entry), f'"Try it out" sends GET {path} to {address}'
    status = replace(entry, prefix="").status(urlsplit(address).path)
    note.did(f"GET {address} was answered with {status}")
    assert isinstance(status, int), f'"Try it out" sends GET {path} to {address}: {status}'
    assert status not in (404, 405), (
        f'"Try it out" sends GET {path} to {address}, which was answered with {status}'
    )
    assert status < 500, f'"Try it out" sends GET {path} to {address}, which was answered with {status}'
