"""A sign for each verdict and status, so that colour is never all there is to see."""

from __future__ import annotations

from pytest_deploycheck.outcome import Status
from pytest_deploycheck.report.markup import Markup, element

PATHS = {
    "good": "M4 8.5l2.7 2.7L12 5.6",
    "bad": "M5 5l6 6M11 5l-6 6",
    "weak": "M8 4.2v4.6M8 11.6v.2",
    "open": "M6.2 6.1c.2-2.3 3.8-2.2 3.7.1 0 1.500-1.900 1.500-1.900 3M8 11.700v.2",
    "none": "M5 8h6",
}
OF_STATUS = {
    Status.PASSED: "good",
    Status.FAILED: "bad",
    Status.BLOCKED: "bad",
    Status.WARNED: "weak",
    Status.WAIVED: "weak",
    Status.NOT_VERIFIED: "open",
    Status.NOT_APPLICABLE: "none",
}
OF_VERDICT = {"covered": "good", "failed": "bad", "not_covered": "open", "not_tried": "none"}


def icon(tone: str, **place: float) -> Markup:
    """Return a sign of 16 by 16 in a tone: ``good``, ``bad``, ``weak``, ``open`` or ``none``."""
    return element(
        "svg",
        element("circle", cx=8, cy=8, r=8),
        element("path", d=PATHS[tone]),
        viewBox="0 0 16 16",
        width=16,
        height=16,
        class_=f"icon {tone}",
        aria_hidden="true",
        **place,
    )
