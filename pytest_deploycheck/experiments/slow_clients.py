"""Hundreds of slow clients at once, while others want to be served.

Two things are watched: whether all of them are dropped in time, and whether hundreds of slow bodies, which a proxy may
pass on to the app, leave room for others. The latter is short, and on a stack that may be hurt.

Where something stands for who is before the app, bodies alone are sent slowly, straight at the app: of all that is slow
they alone can get there. Whether handshakes and headers are dropped in production nobody sees here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from pytest_deploycheck.charts import RequestChart, around
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.outcome import Blocked
from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.probes.health import forwarded
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.probes.repeat import Repeated
from pytest_deploycheck.probes.slow import Manner, SlowCrowd, manners, straight_manner
from pytest_deploycheck.probes.traffic import TimeLine
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.workshop import Workshop

OF_EACH_MANNER = {"TLS handshake": 100, "header": 100, "header over http": 100, "body": 8}
BODIES = 250
VISITS_AMONG_BODIES = 20
PATIENCE_S = 31.0
VISITORS, VISIT_EVERY_S = 2, 0.4


@dataclass(frozen=True, kw_only=True)
class AmongBodies:
    """Hundreds of connections from one address began to send a body, and others wanted to be served.

    Attributes:
        begun: how many connections there were.
        let_in: how many of them had neither an answer nor an end: the server waited for their bodies.
        others: requests of others meanwhile.
    """

    begun: int
    let_in: int
    others: TimeLine


@dataclass(frozen=True, kw_only=True)
class Slowed:
    """What became of slow clients and of others meanwhile.

    Attributes:
        stack: where the clients were slow until they were dropped.
        steps: what was done.
        connected: how many slow clients there were, by what they sent slowly.
        left: how many of them still had their connection in the end.
        slowest_s: how long the last of the others had kept it, in seconds.
        others: requests of others meanwhile, each over a new connection.
        among_bodies: what became of hundreds of slow bodies that were on their way at once.
    """

    stack: Stack
    steps: tuple[str, ...]
    connected: dict[str, int]
    left: dict[str, int]
    slowest_s: dict[str, float]
    others: TimeLine
    among_bodies: AmongBodies

    @property
    def charts(self) -> list[RequestChart]:
        """The requests of the others."""
        title = f"requests of others, while {sum(self.connected.values())} clients were slow"
        return [around(title, {f"GET {self.stack.config.requests.live}": self.others.answers}, [])]


@lane(Lane.ISSUE)
def send_bodies(workshop: Workshop) -> AmongBodies:
    """Begin to send hundreds of bodies, and send ordinary requests before any of them is complete."""
    stack = workshop.for_leaks.steady()
    others: list[Answer] = []
    body = next(way for way in _ways(stack) if way.name == "body")
    with SlowCrowd({body: BODIES}) as crowd:
        for _ in range(VISITS_AMONG_BODIES):
            _visit(stack, stack.config.requests.read, others)
        for client in crowd.clients:
            client.read()
    return AmongBodies(
        begun=len(crowd.clients),
        let_in=sum(not client.answered and client.ended is None for client in crowd.clients),
        others=TimeLine(tuple(others)),
    )


@lane(Lane.GENTLE, uses=(send_bodies,))
def send_slowly(workshop: Workshop) -> Slowed:
    """Hold as many connections as the server lets be held, a byte a second, and send ordinary requests meanwhile."""
    stack = workshop.gentle.steady()
    others, ways = list[Answer](), _ways(stack)
    with (
        SlowCrowd({way: OF_EACH_MANNER[way.name] for way in ways}) as crowd,
        Repeated(
            [partial(_visit, stack, stack.config.requests.live, others)] * VISITORS, pause_s=VISIT_EVERY_S
        ),
    ):
        crowd.be_slow(deadline_s=PATIENCE_S)
    if workshop.gentle.current is not stack:
        raise Blocked("the stack had to be replaced meanwhile, because of another check")
    among_bodies: AmongBodies = workshop.result_of(send_bodies)
    kinds = {way.name: [client for client in crowd.clients if client.manner is way] for way in ways}
    return Slowed(
        stack=stack,
        steps=(
            f"{len(crowd.clients)} connections sent a byte a second: "
            + ", ".join(f"{len(clients)} the {name}" for name, clients in kinds.items())
            + (", straight at the app: handshakes and headers end before it" if stack.edge_stands_in else ""),
            f"meanwhile GET {stack.config.requests.live} over new connections",
            f"GET {stack.config.requests.read} while {BODIES} connections had begun to send a body",
        ),
        connected={name: len(clients) for name, clients in kinds.items()},
        left={name: sum(client.ended is None for client in clients) for name, clients in kinds.items()},
        slowest_s={
            name: max((client.ended - client.began for client in clients if client.ended), default=0.0)
            for name, clients in kinds.items()
        },
        others=TimeLine(tuple(sorted(others, key=lambda answer: answer.start))),
        among_bodies=among_bodies,
    )


def _ways(stack: Stack) -> list[Manner]:
    """Return the ways to be slow that say something of production."""
    path = f"{MARK}body"
    if stack.edge_stands_in:
        return [straight_manner(stack.upstream, path, forwarded(stack))]
    return manners(stack.entry, path)


def _visit(stack: Stack, path: str, answers: list[Answer]) -> None:
    answers.append(stack.entry.ask(path))
