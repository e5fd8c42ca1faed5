"""The stack as a drawing: who talks to whom, who looks after them, and which concept is proven where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_deploycheck.check import Concept
from pytest_deploycheck.report.document import Report
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
BOX, BOX_HEIGHT, PILL_HEIGHT, BEHIND = 124, 62, 24, 5
MOST_WORKERS = 4


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the stack.

    Attributes:
        name: what it is.
        what: its role.
        link: what comes to it, on the arrow.
        concepts: those that are proven at it.
        copies: how many of it there are.
    """

    name: str
    what: str
    link: str = ""
    concepts: tuple[Concept, ...] = ()
    copies: int = 1


def stack_drawing(report: Report) -> Markup:
    """Return the drawing, once for wide screens and once for narrow ones."""
    stack, workers = report.stack, report.workers or 1
    client = Part(name="client", what="the public")
    database = stack.get("database", "none")
    managed = [
        Part(name=stack.get("proxy", "?"), what="proxy", link="https", concepts=(Concept.HTTPS,)),
        Part(name=stack.get("server", "?"), what="server", link="http"),
        Part(
            name=f"{workers} worker{'s' if workers > 1 else ''}",
            what="of the app",
            concepts=(Concept.REPLICATION, Concept.MEMORY),
            copies=min(workers, MOST_WORKERS),
        ),
    ]
    last = Part(
        name=database if database != "none" else "no database",
        what="database",
        link="sql" if database != "none" else "",
        concepts=(Concept.PREVIOUS_STEPS,),
    )
    manager = stack.get("manager", "?")
    said = (
        f"client to {managed[0].name}, {managed[1].name}, {managed[2].name} and {last.name}; {manager} looks after "
        "all but the client and the database"
    )
    tones = {verdict.concept: OF_VERDICT[verdict.verdict] for verdict in report.verdicts}
    return joined(
        _wide(client, managed, last, manager, tones, said),
        _narrow(client, managed, last, manager, tones, said),
    )


def _wide(
    client: Part,
    managed: Sequence[Part],
    last: Part,
    manager: str,
    tones: dict[Concept, str],
    said: str,
) -> Markup:
    step, y = BOX + 62, 96
    xs = [step * index for index in range(5)]
    frame = element(
        "rect", x=xs[1] - 24, y=20, width=xs[3] + BOX - xs[1] + 48, height=252, rx=12, class_="frame"
    )
    body: list[Markup] = [frame, _label(manager, "process manager", xs[1] - 8, 46)]
    body += _row_of_pills((Concept.STARTUP, Concept.RESTARTS), tones, right=xs[3] + BOX + 10, y=32)
    body += _row_of_pills((Concept.RESOURCES,), tones, right=xs[3] + BOX + 10, y=236)
    body.append(element("text", "CPU, memory, files, disk of the machine", x=xs[1] - 8, y=252, class_="role"))
    for index, part in enumerate([client, *managed, last]):
        if index:
            copies = managed[index - 2].copies if index > 1 else 1
            begin = xs[index - 1] + BOX + BEHIND * (copies - 1)
            body.append(_arrow(begin, xs[index], y + BOX_HEIGHT / 2, part.link))
        body.append(_box(part, xs[index], y))
        middle = xs[index] + BOX / 2
        for row, concept in enumerate(part.concepts):
            body.append(_pill(concept, tones, middle - _width(concept) / 2, y + BOX_HEIGHT + 14 + 30 * row))
    return _svg(body, 4 * step + BOX, 292, said, "wide")


def _narrow(
    client: Part,
    managed: Sequence[Part],
    last: Part,
    manager: str,
    tones: dict[Concept, str],
    said: str,
) -> Markup:
    # The parts are one below the other at the left; what is said of them is at the right.
    width, x, right = 340, 24, 24 + BOX + 34
    ys = [8, 216, 328, 440, 634]
    frame = element("rect", x=2, y=90, width=width - 4, height=506, rx=12, class_="frame")
    body: list[Markup] = [frame, _label(manager, "", right, 118)]
    body.append(element("text", "process manager", x=right, y=136, class_="role"))
    body += [_pill(Concept.STARTUP, tones, right, 146), _pill(Concept.RESTARTS, tones, right, 176)]
    body.append(element("text", "CPU, memory, disk", x=right, y=544, class_="role"))
    body.append(_pill(Concept.RESOURCES, tones, right, 556))
    for index, part in enumerate([client, *managed, last]):
        if index:
            body.append(_arrow_down(x + BOX / 2, ys[index - 1] + BOX_HEIGHT, ys[index], part.link))
        body.append(_box(part, x, ys[index]))
        for row, concept in enumerate(part.concepts):
            top = ys[index] + (BOX_HEIGHT - PILL_HEIGHT - 30 * (len(part.concepts) - 1)) / 2
            body.append(_pill(concept, tones, right, top + 30 * row))
    return _svg(body, width, 704, said, "narrow")


def _svg(body: Sequence[Markup], width: int, height: int, said: str, class_: str) -> Markup:
    return element(
        "svg",
        *body,
        viewBox=f"-16 0 {width + 32} {height}",
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
