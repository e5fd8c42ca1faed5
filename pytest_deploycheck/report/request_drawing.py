"""Requests around an event as a drawing: each at its start, the higher the longer it took."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from pytest_deploycheck.charts import Request, RequestChart
from pytest_deploycheck.probes.answer import is_good
from pytest_deploycheck.report.legend import key, legend
from pytest_deploycheck.report.markup import Markup, element, joined
from pytest_deploycheck.report.plot import Plot, Scale, number

MEANINGS = {"good": "good", "slow": "slow", "expected": "not good, but right here", "failed": "failed"}
STANDING_OUT = ("slow", "expected", "failed")
# A pause without a good answer is shaded from here on.
GAP_S = 0.5
QUICKEST_S = 0.001
# A slow request is drawn at its start; if it took more of the plot than this, a line goes to its end.
TAIL_PERCENT = 1.5
# So few requests are drawn as long as they took.
FEW = 8
LANE_HEIGHT, ROW_HEIGHT = 104, 14


def draw_requests(chart: RequestChart) -> Markup:
    """Draw each kind of requests on its own, all of them over the same time."""
    everything = [one for found in chart.requests.values() for one in found]
    if not everything:
        return element("p", "no request was sent")
    times = [t for start, took, _ in everything for t in (start, start + took)]
    times += [t for t, _ in chart.moments]
    x = Scale(low=min(times), high=max(times))
    y = Scale(low=QUICKEST_S, high=max(1.0, *(took for _, took, _ in everything)), logarithmic=True)
    lanes = [Lane(chart=chart, name=name, is_first=not index) for index, name in enumerate(chart.requests)]
    shown = {kind for lane in lanes for kind, found in lane.kinds.items() if found}
    keys = [key(kind, meaning) for kind, meaning in MEANINGS.items() if kind in shown]
    left_out = sum(chart.left_out.values())
    more = f"{left_out} more good ones are not drawn" if left_out else ""
    return joined(*(lane.draw(x, y) for lane in lanes), legend(keys, more))


@dataclass(frozen=True, kw_only=True)
class Lane:
    """The requests of one kind: those of one path, of one worker, and so on."""

    chart: RequestChart
    name: str
    is_first: bool

    @property
    def found(self) -> Sequence[Request]:
        """The requests."""
        return self.chart.requests[self.name]

    def kind(self, request: Request) -> str:
        """Return whether a request was good, slow, as expected, or failed."""
        _, took, status = request
        if not is_good(status):
            return "expected" if status in self.chart.expected.get(self.name, ()) else "failed"
        return "slow" if took > self.chart.slow_s.get(self.name, took) else "good"

    @cached_property
    def kinds(self) -> dict[str, list[Request]]:
        """The requests by kind."""
        return {kind: [one for one in self.found if self.kind(one) == kind] for kind in MEANINGS}

    @cached_property
    def pause(self) -> tuple[float, float] | None:
        """The longest time without a good answer, up to the last request."""
        if len(self.found) < 3:
            return None
        ends = sorted(start + took for start, took, status in self.found if is_good(status))
        last = max(start for start, _, _ in self.found)
        moments = [*ends, last] if ends and last > ends[-1] else ends
        return max(itertools.pairwise(moments), key=lambda pair: pair[1] - pair[0], default=None)

    @property
    def in_words(self) -> str:
        """What the drawing shows."""
        count = len(self.found) + self.chart.left_out.get(self.name, 0)
        failed, expected, slow = self.kinds["failed"], self.kinds["expected"], self.kinds["slow"]
        told = [f"{count} request{'s' if count != 1 else ''}"]
        told.append(f"{len(failed)} failed" + (f" ({_statuses(failed)})" if failed else ""))
        if expected:
            told.append(f"{len(expected)} as expected here ({_statuses(expected)})")
        if slow:
            told.append(f"{len(slow)} slower than {number(self.chart.slow_s[self.name])} s")
        if self.pause:
            told.append(f"longest time without a good answer {self.pause[1] - self.pause[0]:.2f} s")
        return ", ".join(told)

    def draw(self, x: Scale, y: Scale) -> Markup:
        """Return the lane, with its heading."""
        is_few = len(self.found) <= FEW
        plot = Plot(
            x=x,
            y=Scale(low=0.0, high=1.0, has_ticks=False) if is_few else y,
            height=ROW_HEIGHT * max(1, len(self.rows)) if is_few else LANE_HEIGHT,
            y_unit="s",
            moments=self.chart.moments if self.is_first or is_few else (),
        )
        curves, over = (self._stretches(plot), Markup()) if is_few else (self._dots(plot), self._marks(plot))
        heading = element("p", element("b", self.name), f" {self.in_words}", class_="lane")
        said = f"{self.chart.title}; {self.name}: {self.in_words}"
        return joined(heading, plot.draw(curves, over, said=said))

    def _dots(self, plot: Plot) -> Markup:
        """Draw the good ones, how long the others took, and the time in which none was answered well."""
        shade = None
        if self.pause and self.pause[1] - self.pause[0] >= GAP_S and self.kinds["failed"]:
            begin, end = (10 * plot.left(t) for t in self.pause)
            shade = element("rect", x=begin, width=end - begin, height=plot.height, class_="pause")
        tails = [
            plot.curve([(start, took), (start + took, took)], f"tail {kind}")
            for kind in ("slow", "failed")
            for start, took, _ in self.kinds[kind]
            if plot.left(start + took) - plot.left(start) > TAIL_PERCENT
        ]
        good = [(start, took) for start, took, _ in self.kinds["good"]]
        return joined(shade, *tails, plot.dots(good, "good"))

    def _marks(self, plot: Plot) -> Markup:
        return joined(
            *(
                plot.mark(kind, start, took, f"{kind}: {_told((start, took, status))}")
                for kind in STANDING_OUT
                for start, took, status in self.kinds[kind]
            )
        )

    @cached_property
    def rows(self) -> list[list[Request]]:
        """The requests in as few rows as can be without one lying over another."""
        rows: list[list[Request]] = []
        for one in self.found:
            row = next((row for row in rows if row[-1][0] + row[-1][1] <= one[0]), None)
            if row is None:
                rows.append([one])
            else:
                row.append(one)
        return rows

    def _stretches(self, plot: Plot) -> Markup:
        return joined(
            *(
                element(
                    "rect",
                    element("title", _told(one)),
                    x=10 * plot.left(one[0]),
                    width=max(3.0, 10 * (plot.left(one[0] + one[1]) - plot.left(one[0]))),
                    y=ROW_HEIGHT * row + 2,
                    height=ROW_HEIGHT - 4,
                    class_=f"stretch {self.kind(one)}",
                )
                for row, found in enumerate(self.rows)
                for one in found
            )
        )


def _told(request: Request) -> str:
    start, took, status = request
    return f"{status}, {number(took)} s, at {number(start)} s"


def _statuses(found: Sequence[Request]) -> str:
    return ", ".join(sorted({str(status) for _, _, status in found}))
