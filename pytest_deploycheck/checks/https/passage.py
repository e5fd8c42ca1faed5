"""What the proxy lets through, holds back, and answers itself."""

from __future__ import annotations

import time

from pytest_deploycheck.checks.https.public import check
from pytest_deploycheck.experiments.slow_clients import Slowed, send_slowly
from pytest_deploycheck.experiments.stops import Stopped, stop_and_start
from pytest_deploycheck.outcome import Note
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.probes.uploads import upload
from pytest_deploycheck.probes.websocket import converse
from pytest_deploycheck.stacks.protocol import Stack

PROMPT_S = 6.0
SLOW_S = 30.0
SERVED_S = 3.0
MIB = 1 << 20
USUAL_BODY = 2 * MIB
# Where no limit is declared: a body that nobody means to let in, and how much of it is sent before giving up.
HUGE_BODY, PATIENT_BODY = 1024 * MIB, 32 * MIB


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
