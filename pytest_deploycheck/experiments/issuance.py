"""The deployment gets its certificates from a real ACME server, and renews them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cryptography import x509

from pytest_deploycheck.charts import RequestChart, around
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.outcome import Blocked
from pytest_deploycheck.probes.tls import trusted_certificate
from pytest_deploycheck.probes.traffic import PatientTraffic, TimeLine
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.acme_server import AcmeServer, acme_at, require_acme_server
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import Start, start_and_watch
from pytest_deploycheck.workshop import Workshop

ISSUE_DEADLINE_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A stack was started with no certificate, and an ACME server whose certificates expire soon.

    Attributes:
        stack: the stack; if it serves, the next experiments of this lane use it.
        steps: what was done.
        valid_s: for how long each certificate was valid.
        start: what was seen of the start.
        issued_s: seconds from the start command until a certificate of the server was served; None = not in time.
        renewed_s: seconds from then until another one was; None = not while the first was valid.
        traffic: requests from the first certificate on; None if there was none.
        log: the last lines of the stack's and the ACME server's logs.
    """

    stack: Stack
    steps: tuple[str, ...]
    valid_s: int
    start: Start
    issued_s: float | None
    renewed_s: float | None
    traffic: TimeLine | None
    log: str

    @property
    def charts(self) -> list[RequestChart]:
        """The requests from the first certificate on."""
        if self.traffic is None or self.issued_s is None:
            return []
        issued_at = self.start.began + self.issued_s
        moments = [(self.start.began, "the start"), (issued_at, "the first certificate")]
        moments += [(issued_at + self.renewed_s, "the second one")] if self.renewed_s else []
        path = self.stack.config.requests.live
        return [around("requests around the renewal", {f"GET {path}": self.traffic.answers}, moments)]


@lane(Lane.ISSUE, brings_stack=True)
def issue_and_renew(workshop: Workshop) -> Issued:
    """Start a stack that asks an ACME server of this machine, wait for its certificate, and for the next one.

    Raises:
        Blocked: certificates of the proxy's own, which nobody trusts, are not asked for.
        NotVerified: there is no ACME server here.
    """
    if (workshop.gentle.current or workshop.stack()).certificate is None:
        raise Blocked("the proxy serves no certificate of a CA (see TLS002)")
    run, domain = workshop.run, workshop.config.domain
    require_acme_server(workshop.config.root / ".venv")
    directory_port = run.ports.take()
    stack = workshop.stack(acme=acme_at(run, directory_port))
    entry = stack.entry
    # It ends with the run: without it, the proxy would soon have no valid certificate for those who come later.
    server = AcmeServer(
        run,
        http_port=entry.http_port,
        https_port=entry.https_port,
        valid_s=stack.certificates_live_s,
        directory_port=directory_port,
    )
    start = start_and_watch(stack)

    def certificate() -> bytes | None:
        stack.pass_time()  # again and again: a script may be about to begin
        return trusted_certificate(entry.https_port, domain, root=server.root)

    wait = partial(wait_for, certificate, every_s=0.3)
    first = wait(bool, deadline_s=ISSUE_DEADLINE_S) if start.alive_s else None
    issued_at = time.monotonic()
    renewed_s, traffic = _watch_renewal(stack, wait, first) if first else (None, None)
    log = f"{stack.log_tail(of_all_programs=True)}\n{server.log()[-400:]}"
    if renewed_s is None:
        stack.end()
    else:
        workshop.for_leaks.adopt(start)
    return Issued(
        stack=stack,
        steps=(
            f"start with no certificate; an ACME server issues some that live {stack.certificates_live_s} s",
            "requests meanwhile, and what waits for hours, with `sleep` or a timer, waited no longer",
        ),
        valid_s=stack.certificates_live_s,
        start=start,
        issued_s=issued_at - start.began if first else None,
        renewed_s=renewed_s,
        traffic=traffic,
        log=log,
    )


def _watch_renewal(
    stack: Stack, wait: Callable[..., bytes | None], first: bytes
) -> tuple[float | None, TimeLine]:
    """Return how long it took until another certificate was served, and how requests fared."""
    began = time.monotonic()
    left_s = x509.load_der_x509_certificate(first).not_valid_after_utc.timestamp() - time.time()
    with PatientTraffic(stack.entry, stack.config.requests.live, clients=1, pause_s=0.2) as traffic:
        seen = wait(lambda now: now not in (None, first), deadline_s=left_s)
    renewed = seen not in (None, first)
    return time.monotonic() - began if renewed else None, traffic.time_line
