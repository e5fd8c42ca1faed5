"""The stack as a drawing: who talks to whom, who looks after them, and which concept is proven where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_deploycheck.check import Concept
from pytest_deploycheck.report.document import NONE, Report
from pytest_deploycheck.report.icons import OF_VERDICT, icon
from pytest_deploycheck.report.markup import Markup, element, joined

SHORT = {
    Concept.HTTPS: "HTTPS",
    Concept.STARTUP: "Startup",
    Concept.RESTARTS: "Restarts",
    Concept.REPLICATION: "Replication",
    Concept.MEMORY: "Memory",
    Concept.PREVIOUS_STEPS: "Previous steps",
    Concept.RESOURCES: "Resources",
}
WIDTH, BOX, BOX_HEIGHT, PILL_HEIGHT, BEHIND = 744, 124, 62, 24, 5
MOST_WORKERS = 4
# How a part is called that a project does not have.


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the stack.

    Attributes:
        name: what it is.
        what: its role.
        link: what comes to it, on the arrow; None for no arrow.
        concepts: those that are proven at it.
        copies: how many of it there are.
    """

    name: str
    what: str
    link: str | None = ""
    concepts: tuple[Concept, ...] = ()
    copies: int = 1


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """What is drawn.

    Attributes:
        client, database: the ends.
        managed: what is between them, which the manager looks after.
        manager: its name, None if there is none.
        tones: how each concept did.
    """

    client: Part
    managed: Sequence[Part]
    database: Part
    manager: str | None
    tones: dict[Concept, str]

    @property
    def parts(self) -> list[Part]:
        """All of them, in the order of a request."""
        return [self.client, *self.managed, self.database]

    @property
    def in_words(self) -> str:
        """What is to be seen."""
        way = ", ".join(part.name for part in self.parts)
        who = self.manager or "nobody"
        return f"the way of a request: {way}; {who} looks after all but the client and the database"


def stack_drawing(report: Report) -> Markup:
    """Return the drawing, once for wide screens and once for narrow ones."""
    drawing = _drawing(report)
    return joined(_wide(drawing), _narrow(drawing))


def _drawing(report: Report) -> Drawing:
    workers, stack = report.workers or 1, {role: name for role, name in report.stack.items() if name != NONE}
    proxy, database = stack.get("proxy"), stack.get("database")
    app = [
        Part(
            name=stack.get("server", "the app"),
            what="server",
            link="http",
            concepts=() if proxy else (Concept.HTTPS,),
        ),
        Part(
            name=f"{workers} worker{'s' if workers > 1 else ''}",
            what="of the app",
            concepts=(Concept.REPLICATION, Concept.MEMORY),
            copies=min(workers, MOST_WORKERS),
        ),
    ]
    entrance = [Part(name=proxy, what="proxy", link="https", concepts=(Concept.HTTPS,))] if proxy else []
    return Drawing(
        client=Part(name="client", what="the public"),
        managed=[*entrance, *app],
        database=Part(
            name=database or "no database",
            what="database" if database else "",
            link="sql" if database else None,
            concepts=(Concept.PREVIOUS_STEPS,),
        ),
        manager=stack.get("manager"),
        tones={verdict.concept: OF_VERDICT[verdict.verdict] for verdict in report.verdicts},
    )


def _wide(drawing: Drawing) -> Markup:
    parts, tones = drawing.parts, drawing.tones
    step, y = WIDTH / (len(parts) - 1), 96
    xs = [step * index for index in range(len(parts))]
    left, right = xs[1], xs[-2] + BOX
    body: list[Markup] = [
        element("rect", x=left - 24, y=20, width=right - left + 48, height=252, rx=12, class_="frame"),
        _label(drawing.manager or "no", "process manager", left - 8, 46),
        *_row_of_pills((Concept.STARTUP, Concept.RESTARTS), tones, right=right + 10, y=32),
        *_row_of_pills((Concept.RESOURCES,), tones, right=right + 10, y=236),
        element("text", "CPU, memory, files, disk", x=left - 8, y=252, class_="role"),
    ]
    for x, part, before in zip(xs, parts, [None, *parts], strict=False):
        if before and part.link is not None:
            begin = x - step + BOX + BEHIND * (before.copies - 1)
            body.append(_arrow(begin, x, y + BOX_HEIGHT / 2, part.link))
        body.append(_box(part, x, y))
        for row, concept in enumerate(part.concepts):
            middle = x + (BOX - _width(concept)) / 2
            body.append(_pill(concept, tones, middle, y + BOX_HEIGHT + 14 + 30 * row))
    return _svg(body, xs[-1] + BOX, 292, drawing.in_words, "wide")


def _narrow(drawing: Drawing) -> Markup:
    """Draw the parts one below the other at the left; what is said of them is at the right."""
    parts, tones = drawing.parts, drawing.tones
    width, x, right, step = 340, 24, 24 + BOX + 34, 112
    managed = [216 + step * index for index in range(len(drawing.managed))]
    below = managed[-1] + 116
    ys = [8, *managed, below + 78]
    body: list[Markup] = [
        element("rect", x=2, y=90, width=width - 4, height=below - 50, rx=12, class_="frame"),
        _label(drawing.manager or "no", "", right, 118),
        element("text", "process manager", x=right, y=136, class_="role"),
        _pill(Concept.STARTUP, tones, right, 146),
        _pill(Concept.RESTARTS, tones, right, 176),
        element("text", "CPU, memory, disk", x=right, y=below - 12, class_="role"),
        _pill(Concept.RESOURCES, tones, right, below),
    ]
    for index, (y, part) in enumerate(zip(ys, parts, strict=True)):
        if index and part.link is not None:
            body.append(_arrow_down(x + BOX / 2, ys[index - 1] + BOX_HEIGHT, y, part.link))
        body.append(_box(part, x, y))
        top = y + (BOX_HEIGHT - PILL_HEIGHT - 30 * (len(part.concepts) - 1)) / 2
        body += [_pill(one, tones, right, top + 30 * row) for row, one in enumerate(part.concepts)]
    return _svg(body, width, ys[-1] + BOX_HEIGHT + 8, drawing.in_words, "narrow")


def _svg(body: Sequence[Markup], width: float, height: float, said: str, class_: str) -> Markup:
    return element(
        "svg",
        *body,
        viewBox=f"-16 0 {width + 32:.0f} {height:.0f}",
        role="group",
        aria_label=said,
        class_=f"stack {class_}",
    )


def _box(part: Part, x: float, y: float) -> Markup:
    behind = [
        element(
            "rect",
            x=x + BEHIND * copy,
            y=y - BEHIND * copy,
            width=BOX,
            height=BOX_HEIGHT,
            rx=8,
            class_="part",
        )
        for copy in range(part.copies - 1, -1, -1)
    ]
    middle = x + BOX / 2
    return joined(
        *behind,
        element("text", part.name, x=middle, y=y + 28, text_anchor="middle", class_="name"),
        element("text", part.what, x=middle, y=y + 47, text_anchor="middle", class_="role"),
    )


def _label(name: str, what: str, x: float, y: float) -> Markup:
    return element(
        "text", element("tspan", name, class_="name"), element("tspan", f" {what}"), x=x, y=y, class_="role"
    )


def _arrow(x1: float, x2: float, y: float, text: str) -> Markup:
    return joined(
        element("path", d=f"M{x1 + 6:.0f} {y:.0f}H{x2 - 7:.0f}m-7-5l7 5l-7 5", class_="arrow"),
        element("text", text, x=(x1 + x2) / 2, y=y - 9, text_anchor="middle", class_="role link"),
    )


def _arrow_down(x: float, y1: float, y2: float, text: str) -> Markup:
    return joined(
        element("path", d=f"M{x:.0f} {y1 + 5:.0f}V{y2 - 7:.0f}m-5-7l5 7l5-7", class_="arrow"),
        element("text", text, x=x + 12, y=(y1 + y2) / 2 + 4, class_="role"),
    )


def _width(concept: Concept) -> float:
    return 42 + 7.3 * len(SHORT[concept])


def _row_of_pills(
    concepts: Sequence[Concept], tones: dict[Concept, str], *, right: float, y: float
) -> list[Markup]:
    x, pills = right, []
    for concept in reversed(concepts):
        x -= _width(concept)
        pills.append(_pill(concept, tones, x, y))
        x -= 8
    return pills[::-1]


def _pill(concept: Concept, tones: dict[Concept, str], x: float, y: float) -> Markup:
    """Return a link to the concept's checks, with its verdict."""
    return element(
        "a",
        element("rect", x=x, y=y, width=_width(concept), height=PILL_HEIGHT, rx=PILL_HEIGHT / 2),
        icon(tones[concept], x=x + 5, y=y + 4),
        element("text", SHORT[concept], x=x + 27, y=y + 16.5),
        href=f"#{concept.slug}",
        class_="pill",
    )
