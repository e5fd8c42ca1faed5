"""Draw parts of a report as a browser shows them: `report_picture.py REPORT OUT.png SELECTOR...`.

REPORT is a `report.html`, or a `report.json` of which the page is made. The picture goes from the top of the first
selector to the bottom of the last one. Checks that are named by their ID (`#RST009`) are opened.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from steps import StepError, exit_code_of, say

if TYPE_CHECKING:
    from playwright.sync_api import FloatRect, Page

LARGEST = 150 * 1024
MARGIN = 10


def area_of(page: Page, selectors: list[str]) -> FloatRect:
    """Return the smallest area with all that the selectors select, and a margin."""
    boxes = []
    for selector in selectors:
        found = page.locator(selector).first
        found.evaluate("it => { if (it.matches('details')) it.open = true; }")
        if box := found.bounding_box():
            boxes.append(box)
    if not boxes:
        raise StepError(f"error: nothing in the report is {' or '.join(selectors)}")
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes)
    right = max(box["x"] + box["width"] for box in boxes)
    bottom = max(box["y"] + box["height"] for box in boxes)
    x, y = max(0.0, left - MARGIN), max(0.0, top - MARGIN)
    return {"x": x, "y": y, "width": right + MARGIN - x, "height": bottom + MARGIN - y}


def page_of(report: Path, folder: Path) -> Path:
    """Return the page of a report."""
    if report.suffix != ".json":
        return report
    from pytest_deploycheck.report.document import Report
    from pytest_deploycheck.report.page import page

    file = folder / "report.html"
    file.write_text(page(Report.from_json(json.loads(report.read_text(encoding="utf-8")))), encoding="utf-8")
    return file


def draw(report: Path, output: Path, selectors: list[str], *, width: int, scheme: str) -> None:
    """Write the picture."""
    from playwright.sync_api import sync_playwright

    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        raise StepError("error: no Chromium on the PATH: apt-get install chromium")
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(
            color_scheme="dark" if scheme == "dark" else "light", viewport={"width": width, "height": 900}
        ).new_page()
        page.goto(page_of(report, Path(folder)).resolve().as_uri())
        area = area_of(page, selectors)
        page.screenshot(path=output, full_page=True, clip=area)
        browser.close()
    if output.stat().st_size > LARGEST:
        raise StepError(
            f"error: {output} has {output.stat().st_size} bytes, {LARGEST} are the most: draw less"
        )


def main() -> None:
    """Draw one picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("report", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("selectors", nargs="+", metavar="SELECTOR")
    parser.add_argument("--width", type=int, default=1000)
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    options = parser.parse_args()
    if not options.report.is_file():
        raise StepError(f"error: {options.report} is not there; `make demo` writes one")
    draw(options.report, options.output, options.selectors, width=options.width, scheme=options.scheme)
    say(f"wrote {options.output}")


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
