"""A plot as wide as the page, whose text keeps its size on each screen.

Places along the x axis are percentages, along the y axis pixels. Curves are in an inner SVG that is stretched; their
strokes are not (``vector-effect`` in the style sheet).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pytest_deploycheck.report.markup import Markup, element, joined

SHAPES = {
    "failed": "M-4-4L4 4M-4 4L4-4",
    "expected": "M0-5L5 0L0 5L-5 0Z",
    "slow": "M0-5L5 4H-5Z",
}
STRETCHED = 1000
AXIS_HEIGHT = 20
MOMENT_HEIGHT = 16
MOST_TICKS = 6
# A label that begins further right than this would leave the plot: it ends there instead.
TURNING_POINT = 60.0


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Values from ``low`` to ``high``, spread evenly, or by their logarithm."""

    low: float
    high: float
    logarithmic: bool = False
    has_ticks: bool = True

    def share(self, value: float) -> float:
        """Return where a value is, from 0 to 1; what is outside is at the edge."""
        low, high, value = self.low, self.high, min(max(value, self.low), self.high)
        if self.logarithmic:
            low, high, value = math.log(low), math.log(high), math.log(value)
        return (value - low) / ((high - low) or 1.0)

    def ticks(self) -> list[float]:
        """Return round values on the scale."""
        if not self.has_ticks:
            return []
        if self.logarithmic:
            powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
            return [10.0**power for power in powers]
        step = _round_step((self.high - self.low) / MOST_TICKS)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(number * step, 10) for number in range(first, last + 1)]


def _round_step(step: float) -> float:
    """Return the next step of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
    return next((factor * power for factor in (1, 2, 5) if factor * power >= step * 0.999), 10 * power)


@dataclass(frozen=True, kw_only=True)
class Plot:
    """The frame of one plot.

    Attributes:
        x, y: the scales.
        height: of the area of the curves, in pixels.
        x_unit, y_unit: behind the numbers of the axes.
        moments: what happened when, on the x axis.
    """

    x: Scale
    y: Scale
    height: int
    x_unit: str = "s"
    y_unit: str = ""
    moments: Sequence[tuple[float, str]] = ()

    @property
    def top(self) -> int:
        """Where the area of the curves begins, below the names of the moments."""
        return MOMENT_HEIGHT * len(self.moments) + 8

    def left(self, value: float) -> float:
        """Return the place of a value on the x axis, in percent."""
        return round(100 * self.x.share(value), 2)

    def down(self, value: float) -> float:
        """Return the place of a value on the y axis, in pixels below the top of the area."""
        return round(self.height * (1 - self.y.share(value)), 1)

    def curve(self, points: Sequence[tuple[float, float]], class_: str) -> Markup:
        """Return a line through points."""
        path = "L".join(f"{10 * self.left(x):.1f} {self.down(y)}" for x, y in points)
        return element("path", d=f"M{path}", class_=f"curve {class_}")

    def dots(self, points: Sequence[tuple[float, float]], class_: str) -> Markup:
        """Return dots; a line of no length has round ends, which no stretching changes."""
        path = "".join(f"M{10 * self.left(x):.0f} {self.down(y):.0f}h0" for x, y in points)
        return element("path", d=path, class_=f"dots {class_}") if path else Markup()

    def mark(self, kind: str, x: float, y: float, said: str) -> Markup:
        """Return a shape that stands out, and says what it is when it is pointed at."""
        shape = element("path", d=SHAPES[kind])
        return element(
            "svg", element("title", said), shape, x=f"{self.left(x)}%", y=self.down(y), class_=f"mark {kind}"
        )

    def draw(self, curves: Markup, over: Markup, *, said: str) -> Markup:
        """Return the whole plot.

        Args:
            curves: what is stretched.
            over: what is not, in the same area.
            said: what is to be seen, in words.
        """
        full = self.top + self.height + AXIS_HEIGHT
        stretched = element(
            "svg",
            curves,
            width="100%",
            height=self.height,
            viewBox=f"0 0 {STRETCHED} {self.height}",
            preserveAspectRatio="none",
            class_="stretched",
        )
        area = element(
            "svg", self._grid(), stretched, over, y=self.top, width="100%", height=self.height, class_="area"
        )
        return element(
            "svg",
            area,
            self._moments(),
            self._x_axis(),
            role="img",
            aria_label=said,
            class_="plot",
            height=full,
        )

    def _grid(self) -> Markup:
        ticks = [(self.down(value), number(value)) for value in self.y.ticks() if value > self.y.low]
        return joined(
            *(element("line", x2="100%", y1=y, y2=y, class_="grid") for y, _ in ticks),
            element("line", x2="100%", y1=self.height, y2=self.height, class_="axis"),
            *(
                element(
                    "text", f"{told} {self.y_unit}".strip(), x=-6, y=y + 4, text_anchor="end", class_="tick"
                )
                for y, told in ticks
            ),
        )

    def _x_axis(self) -> Markup:
        y = self.top + self.height + 14
        return joined(
            *(
                element(
                    "text",
                    f"{number(value)} {self.x_unit}",
                    x=f"{self.left(value)}%",
                    y=y,
                    text_anchor=_anchor(self.left(value)),
                    class_="tick",
                )
                for value in self.x.ticks()
            )
        )

    def _moments(self) -> Markup:
        """Return a dashed line for each moment, its name in a row of its own."""
        parts = []
        for row, (t, text) in enumerate(self.moments):
            left, y = self.left(t), MOMENT_HEIGHT * (row + 1) - 3
            bottom = self.top + self.height
            before = left > TURNING_POINT
            parts += [
                element("line", x1=f"{left}%", x2=f"{left}%", y1=y - 10, y2=bottom, class_="moment"),
                element(
                    "text",
                    text,
                    x=f"{left}%",
                    y=y,
                    dx=-5 if before else 5,
                    text_anchor="end" if before else "start",
                    class_="moment",
                ),
            ]
        return joined(*parts)


def _anchor(left: float) -> str:
    return "start" if left < 5 else "end" if left > 95 else "middle"


def number(value: float) -> str:
    """Return a number as people write it: four digits that count, no more."""
    if value and abs(value) < 0.001:
        return f"{value:.1g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
