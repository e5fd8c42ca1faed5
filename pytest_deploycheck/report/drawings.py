"""Charts as figures of the HTML report: an SVG, and the same in words."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pytest_deploycheck.charts import BarChart, LineChart, Request, RequestChart, ShareChart, from_json
from pytest_deploycheck.probes.http import is_good
from pytest_deploycheck.report.markup import Markup, element, joined
from pytest_deploycheck.report.plot import Plot, Scale, number

# A pause without a good answer is shaded from here on.
GAP_S = 0.5
QUICKEST_S = 0.001
# A slow request is drawn at its start; if it took more of the plot than this, a line goes to its end.
TAIL_PERCENT = 1.5
COLOURS = 6
LANE_HEIGHT, LINES_HEIGHT, BAR_HEIGHT, ROW_HEIGHT = 104, 190, 26, 14
# So few requests are drawn as long as they took.
FEW = 8


def figure(content: Mapping[str, Any]) -> Markup:
    """Return the figure of a chart of ``report.json``."""
    chart = from_json(content)
    drawn = DRAWINGS[type(chart)](chart)
    return element("figure", element("figcaption", chart.title), drawn)


def _requests(chart: RequestChart) -> Markup:
    """Draw each kind of requests on its own, all of them over the same time."""
    everything = [one for found in chart.requests.values() for one in found]
    if not everything:
        return element("p", "no request was sent")
    times = [t for start, took, _ in everything for t in (start, start + took)]
    times += [t for t, _ in chart.moments]
    x = Scale(low=min(times), high=max(times))
    y = Scale(low=QUICKEST_S, high=max(1.0, *(took for _, took, _ in everything)), logarithmic=True)
    lanes = []
    for index, (name, found) in enumerate(chart.requests.items()):
        is_few = len(found) <= FEW
        plot = Plot(
            x=x,
            y=Scale(low=0.0, high=float(len(found)), has_ticks=False) if is_few else y,
            height=ROW_HEIGHT * max(1, len(found)) if is_few else LANE_HEIGHT,
            y_unit="s",
            moments=chart.moments if index == 0 or is_few else (),
        )
        lanes.append(_lane(plot, chart, name, found))
    return joined(*lanes, _request_legend(chart))


def _lane(plot: Plot, chart: RequestChart, name: str, found: Sequence[Request]) -> Markup:
    kinds: dict[str, list[Request]] = {"good": [], "slow": [], "expected": [], "failed": []}
    for one in found:
        kinds[_kind(chart, name, one)].append(one)
    pause = _longest_pause(found) if len(found) > 2 else None
    said = _in_words(chart, name, kinds, pause)
    shade = Markup()
    if pause and pause[1] - pause[0] >= GAP_S and kinds["failed"]:
        begin, end = (10 * plot.left(t) for t in pause)
        shade = element("rect", x=begin, width=end - begin, height=plot.height, class_="pause")
    if len(found) <= FEW:
        drawn = plot.draw(
            _stretches(plot, chart, name, found), Markup(), said=f"{chart.title}; {name}: {said}"
        )
        return joined(element("p", element("b", name), f" {said}", class_="lane"), drawn)
    dots = plot.dots([(start, took) for start, took, _ in kinds["good"]], "good")
    tails = joined(
        *(
            plot.curve([(start, took), (start + took, took)], f"tail {kind}")
            for kind in ("slow", "failed")
            for start, took, _ in kinds[kind]
            if plot.left(start + took) - plot.left(start) > TAIL_PERCENT
        )
    )
    marks = joined(
        *(
            plot.mark(kind, start, took, f"{kind}: {status}, {number(took)} s, at {number(start)} s")
            for kind in ("slow", "expected", "failed")
            for start, took, status in kinds[kind]
        )
    )
    heading = element("p", element("b", name), f" {said}", class_="lane")
    drawn = plot.draw(joined(shade, tails, dots), marks, said=f"{chart.title}; {name}: {said}")
    return joined(heading, drawn)


def _stretches(plot: Plot, chart: RequestChart, name: str, found: Sequence[Request]) -> Markup:
    """Draw a few requests as long as they took, one below the other."""
    return joined(
        *(
            element(
                "rect",
                element("title", f"{status}, {number(took)} s, at {number(start)} s"),
                x=10 * plot.left(start),
                width=max(3.0, 10 * (plot.left(start + took) - plot.left(start))),
                y=ROW_HEIGHT * row + 2,
                height=ROW_HEIGHT - 4,
                class_=f"stretch {_kind(chart, name, (start, took, status))}",
            )
            for row, (start, took, status) in enumerate(found)
        )
    )


def _kind(chart: RequestChart, name: str, request: Request) -> str:
    _, took, status = request
    if not is_good(status):
        return "expected" if status in chart.expected.get(name, ()) else "failed"
    return "slow" if took > chart.slow_s.get(name, took) else "good"


def _longest_pause(found: Sequence[Request]) -> tuple[float, float] | None:
    """Return the longest time without a good answer, up to the last request."""
    ends = sorted(start + took for start, took, status in found if is_good(status))
    last = max(start for start, _, _ in found)
    moments = [*ends, last] if ends and last > ends[-1] else ends
    return max(itertools.pairwise(moments), key=lambda pair: pair[1] - pair[0], default=None)


def _in_words(
    chart: RequestChart,
    name: str,
    kinds: Mapping[str, Sequence[Request]],
    pause: tuple[float, float] | None,
) -> str:
    total = sum(map(len, kinds.values())) + chart.left_out.get(name, 0)
    told = [f"{total} request{'s' if total != 1 else ''}"]
    told.append(
        f"{len(kinds['failed'])} failed" + (f" ({_statuses(kinds['failed'])})" if kinds["failed"] else "")
    )
    if kinds["expected"]:
        told.append(f"{len(kinds['expected'])} as expected here ({_statuses(kinds['expected'])})")
    if kinds["slow"]:
        told.append(f"{len(kinds['slow'])} slower than {number(chart.slow_s[name])} s")
    if pause:
        told.append(f"longest time without a good answer {pause[1] - pause[0]:.2f} s")
    return ", ".join(told)


def _statuses(found: Sequence[Request]) -> str:
    return ", ".join(sorted({str(status) for _, _, status in found}))


def _request_legend(chart: RequestChart) -> Markup:
    shown = {_kind(chart, name, one) for name, found in chart.requests.items() for one in found}
    names = {
        "good": "good",
        "slow": "slow",
        "expected": "not good, but right here",
        "failed": "failed",
    }
    left_out = sum(chart.left_out.values())
    more = f"{left_out} more good ones are not drawn" if left_out else None
    keys = [_key(kind, names[kind]) for kind in names if kind in shown]
    return element("p", *keys, element("span", more) if more else None, class_="legend")


def _key(class_: str, text: str) -> Markup:
    return element("span", element("i", class_=f"key {class_}", aria_hidden="true"), text)


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
    said = f"at most {number(highest)} {chart.unit}" + _of_limit(chart, highest)
    limit = Markup()
    if chart.limit is not None:
        y = plot.down(chart.limit)
        limit = joined(
            element("line", x2="100%", y1=y, y2=y, class_="limit"),
            element("text", _limit_name(chart), x="100%", y=y - 5, text_anchor="end", class_="limit"),
        )
    keys = [_key(colours[name], name) for name in chart.lines]
    return joined(
        element("p", said, class_="lane"),
        plot.draw(curves, limit, said=f"{chart.title}: {said}"),
        element("p", *keys, class_="legend"),
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
    legend = [_key(colours[name], f"{name} {number(_only(chart, name))} {chart.unit}") for name in names]
    return joined(*rows, element("p", *legend, class_="legend") if len(names) > 1 else None)


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
    keys = [_key("colour0", "measured"), _key("band", told)]
    return joined(*rows, element("p", *keys, class_="legend"))


DRAWINGS: Mapping[type, Callable[[Any], Markup]] = {
    RequestChart: _requests,
    LineChart: _lines,
    BarChart: _bars,
    ShareChart: _shares,
}
