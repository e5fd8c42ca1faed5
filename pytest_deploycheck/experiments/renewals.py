"""A renewed certificate takes the place of the old one, under traffic over connections that stay open."""

from __future__ import annotations

import time
from dataclasses import dataclass

from pytest_deploycheck.charts import RequestChart, around
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.outcome import Blocked, NotApplicable
from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.probes.in_flight import InFlight
from pytest_deploycheck.probes.tls import served_certificate
from pytest_deploycheck.probes.traffic import PatientTraffic, TimeLine
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.run import Finished
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.workshop import Workshop

SLOW_REQUEST_S = 1.0
SERVED_DEADLINE_S = 10.0
CLIENTS = 4


@dataclass(frozen=True, kw_only=True)
class Renewed:
    """The certificate's files were replaced, and the project's hook was run.

    Attributes:
        stack: where.
        steps: what was done.
        hook: the project's hook; None if it declares none.
        at: ``time.monotonic()`` when the files had been replaced.
        served_s: seconds until new connections got the new certificate; None = not in time.
        slow: a request that was in flight.
        traffic: requests over connections that were open before, and stay open as long as the proxy lets them.
    """

    stack: Stack
    steps: tuple[str, ...]
    hook: Finished | None
    at: float
    served_s: float | None
    slow: Answer
    traffic: TimeLine

    @property
    def charts(self) -> list[RequestChart]:
        """The requests around the renewal."""
        moments = [(self.at, "new certificate")]
        if self.served_s is not None:
            moments.append((self.at + self.served_s, "it is served"))
        answers = {
            f"GET {self.stack.config.requests.live}": self.traffic.answers,
            f"a request that takes {SLOW_REQUEST_S:.0f} s": [self.slow],
        }
        return [around("requests around the renewal", answers, moments)]


@lane(Lane.HANGS)
def renew_certificate(workshop: Workshop) -> Renewed:
    """Replace the certificate's files and run the project's hook, under traffic and with a slow request in flight."""
    stack = workshop.for_hangs.steady()
    config, entry, files = stack.config, stack.entry, stack.certificate
    if files is None:
        raise Blocked("the proxy serves no certificate of a CA (see TLS002)")
    if config.renewal_hook is None and files.renews_itself:
        raise NotApplicable("the proxy renews its certificates itself, and renewal_hook is not set")
    with PatientTraffic(entry, config.requests.live, clients=CLIENTS, pause_s=0.05) as traffic:
        traffic.wait_for_rounds()
        slow = InFlight(stack, "hold", f"seconds={SLOW_REQUEST_S}")
        new, at = files.issue(stack.copy.run.ca), time.monotonic()
        hook = stack.call(config.renewal_hook, files.hook_environment) if config.renewal_hook else None
        served = wait_for(
            lambda: served_certificate(entry.https_port, config.domain),
            lambda seen: seen == new,
            deadline_s=SERVED_DEADLINE_S,
        )
        served_s = time.monotonic() - at if served == new else None
        slow.answer()
        traffic.wait_for_rounds(deadline_s=3)
    return Renewed(
        stack=stack,
        steps=(
            f"{CLIENTS} connections sent requests to {config.requests.live}, and one a request that takes a second",
            "the certificate's files were replaced",
            f"renewal_hook: {config.renewal_hook}" if hook else "no renewal_hook is set",
        ),
        hook=hook,
        at=at,
        served_s=served_s,
        slow=slow.answer(),
        traffic=traffic.time_line,
    )
