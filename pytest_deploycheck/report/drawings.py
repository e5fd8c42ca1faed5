"""Charts as figures of the HTML report: an SVG, and the same in words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_deploycheck.charts import BarChart, LineChart, RequestChart, ShareChart, from_json
from pytest_deploycheck.report.legend import key, legend
from pytest_deploycheck.report.markup import Markup, element, joined
from pytest_deploycheck.report.plot import Plot, Scale, number
from pytest_deploycheck.report.request_drawing import draw_requests

COLOURS = 6
LINES_HEIGHT, BAR_HEIGHT = 190, 26


def figure(content: Mapping[str, Any]) -> Markup:
    """Return the figure of a chart of ``report.json``."""
    chart = from_json(content)
    drawn = DRAWINGS[type(chart)](chart)
    return element("figure", element("figcaption", chart.title), drawn)


def _lines(chart: LineChart) -> Markup:
    points = [point for found in chart.lines.values() for point in found]
    if not points:
        return element("p", "nothing was measured")
    times = [t for t, _ in (*points, *chart.moments)]
    highest = max(value for _, value in points)
    plot = Plot(
        x=Scale(low=min(0.0, *times), high=max(times)),
        y=Scale(low=0.0, high=1.08 * max(highest, chart.limit or 0.0, 1e-9)),
        height=LINES_HEIGHT,
        y_unit=chart.unit,
        moments=chart.moments,
    )
    colours = {name: f"colour{index % COLOURS}" for index, name in enumerate(chart.lines)}
    curves = joined(
        *(plot.curve(found, colours[name]) for name, found in chart.lines.items() if len(found) > 1),
        *(plot.dots(found, colours[name]) for name, found in chart.lines.items() if len(found) == 1),
    )
    said = f"at most {number(highest)} {chart.unit}".strip() + _of_limit(chart, highest)
    limit = Markup()
    if chart.limit is not None:
        y = plot.down(chart.limit)
        limit = joined(
            element("line", x2="100%", y1=y, y2=y, class_="limit"),
            element("text", _limit_name(chart), x="100%", y=y - 5, text_anchor="end", class_="limit"),
        )
    keys = [key(colours[name], name) for name in chart.lines]
    return joined(
        element("p", said, class_="lane"),
        plot.draw(curves, limit, said=f"{chart.title}: {said}"),
        legend(keys),
    )


def _of_limit(chart: LineChart | BarChart, highest: float) -> str:
    if not chart.limit:
        return ""
    return f", {highest / chart.limit:.0%} of {_limit_name(chart)}"


def _limit_name(chart: LineChart | BarChart) -> str:
    return f"{chart.limit_name} {number(chart.limit or 0)} {chart.unit}"


def _bars(chart: BarChart) -> Markup:
    totals = {name: sum(parts.values()) for name, parts in chart.bars.items()}
    highest = max([*totals.values(), chart.limit or 0.0, 1e-9])
    scale = Scale(low=0.0, high=1.04 * highest)
    names = list(dict.fromkeys(part for parts in chart.bars.values() for part in parts))
    colours = {name: f"colour{index % COLOURS}" for index, name in enumerate(names)}
    rows: list[Markup] = []
    for name, parts in chart.bars.items():
        said = f"{number(totals[name])} {chart.unit}" + _of_limit(chart, totals[name])
        detail = (
            ", ".join(f"{part} {number(value)}" for part, value in parts.items()) if len(parts) > 1 else ""
        )
        rows.append(element("p", element("b", name), f" {said}", class_="lane"))
        begins = itertools.accumulate(parts.values(), initial=0.0)
        boxes = [
            _box(scale, begin, value, f"fill {colours[part]}", f"{part}: {number(value)} {chart.unit}")
            for begin, (part, value) in zip(begins, parts.items(), strict=False)
        ]
        rows.append(_bar(boxes, _limit_line(chart, scale), f"{chart.title}; {name}: {said} {detail}".strip()))
    keys = [key(colours[name], f"{name} {number(_only(chart, name))} {chart.unit}") for name in names]
    return joined(*rows, legend(keys) if len(names) > 1 else None)


def _only(chart: BarChart, part: str) -> float:
    return sum(parts.get(part, 0.0) for parts in chart.bars.values())


def _limit_line(chart: BarChart, scale: Scale) -> Markup:
    if chart.limit is None:
        return Markup()
    left = f"{100 * scale.share(chart.limit):.2f}%"
    return element("line", x1=left, x2=left, y1=0, y2=BAR_HEIGHT, class_="limit")


def _box(scale: Scale, begin: float, value: float, class_: str, said: str = "") -> Markup:
    x, end = scale.share(begin), scale.share(begin + value)
    return element(
        "rect",
        element("title", said) if said else None,
        x=f"{100 * x:.2f}%",
        y=4,
        width=f"{100 * (end - x):.2f}%",
        height=BAR_HEIGHT - 8,
        class_=class_,
    )


def _bar(boxes: Sequence[Markup], over: Markup, said: str) -> Markup:
    track = element("rect", y=4, width="100%", height=BAR_HEIGHT - 8, rx=3, class_="track")
    return element("svg", track, *boxes, over, role="img", aria_label=said, class_="bar", height=BAR_HEIGHT)


def _shares(chart: ShareChart) -> Markup:
    low, high = chart.band
    scale = Scale(low=0.0, high=max(1.0, *chart.shares.values()))
    told = f"{chart.band_name}: {low:.0%} to {high:.0%}"
    rows: list[Markup] = []
    for name, share in chart.shares.items():
        place = "below" if share < low else "above" if share > high else "within"
        said = f"{share:.0%}, {place} the band"
        rows.append(element("p", element("b", name), f" {said}", class_="lane"))
        band = _box(scale, low, high - low, "band")
        value = _box(scale, 0.0, share, "fill colour0 thin")
        rows.append(_bar([band, value], Markup(), f"{chart.title}; {name}: {said}; {told}"))
    keys = [key("colour0", "measured"), key("band", told)]
    return joined(*rows, legend(keys))


DRAWINGS: Mapping[type, Callable[[Any], Markup]] = {
    RequestChart: draw_requests,
    LineChart: _lines,
    BarChart: _bars,
    ShareChart: _shares,
}
