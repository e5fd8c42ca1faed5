"""``badge.svg``: how many of the seven concepts are covered."""

from __future__ import annotations

from pytest_deploycheck.check import Concept
from pytest_deploycheck.report.document import Report
from pytest_deploycheck.report.markup import Markup, element

HEIGHT = 20
# White on each of them can be read: 4.5 to 1 at least.
LEFT, GREEN, AMBER, RED = "#3d4451", "#0b7a4b", "#8a5a00", "#b42318"
LETTER_WIDTH = 6.6
PADDING = 8


def badge(report: Report) -> str:
    """Return the SVG."""
    left, right = "deploycheck", f"{report.covered} of {len(Concept)} concepts"
    failed = any(verdict.verdict == "failed" for verdict in report.verdicts)
    colour = RED if failed else GREEN if report.covered == len(Concept) else AMBER
    widths = [round(len(text) * LETTER_WIDTH) + 2 * PADDING for text in (left, right)]
    said = f"{left}: {right} covered"
    return (
        element(
            "svg",
            element("title", said),
            element("clipPath", _box(0, sum(widths), rx=4), id="r"),
            element("g", _box(0, widths[0], fill=LEFT), _box(*widths, fill=colour), clip_path="url(#r)"),
            element(
                "g",
                _text(left, widths[0] / 2, widths[0]),
                _text(right, widths[0] + widths[1] / 2, widths[1]),
                fill="#fff",
                text_anchor="middle",
                font_family="Verdana, 'DejaVu Sans', Geneva, sans-serif",
                font_size=11,
            ),
            xmlns="http://www.w3.org/2000/svg",
            role="img",
            aria_label=said,
            width=sum(widths),
            height=HEIGHT,
        )
        + "\n"
    )


def _box(x: float, width: float, **attributes: str | float) -> Markup:
    return element("rect", x=x, width=width, height=HEIGHT, **attributes)


def _text(text: str, middle: float, width: float) -> Markup:
    return element("text", text, x=middle, y=14, textLength=width - 2 * PADDING)
