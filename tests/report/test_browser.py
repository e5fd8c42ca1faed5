"""`report.html` in a real browser: nobody is left out, and nothing is asked from a network."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_deploycheck.report.document import Report
from pytest_deploycheck.report.page import page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
WIDTHS = (1200, 320)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


def opened(
    browser: Browser, report: Report, folder: Path, *, scheme: str = "light", width: int = 1200
) -> Page:
    """Open a report as a file; whatever it asks for or complains about is an error."""
    file = folder / "report.html"
    file.write_text(page(report), encoding="utf-8")
    shown = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": 800}).new_page()  # type: ignore[arg-type]
    asked: list[str] = []
    shown.on("request", lambda request: asked.append(request.url))
    shown.on("console", lambda message: asked.append(message.text))
    shown.on("pageerror", lambda error: asked.append(str(error)))
    shown.on("dialog", lambda dialog: (asked.append(dialog.message), dialog.dismiss()))
    shown.goto(file.as_uri())
    assert asked == [file.as_uri()]
    return shown


@pytest.mark.parametrize(
    ("name", "scheme", "width"),
    [("broken", "light", 1200), ("broken", "dark", 320), ("green", "light", 320), ("green", "dark", 1200)],
)
def test_no_violation_of_accessibility(
    browser: Browser, tmp_path: Path, request: pytest.FixtureRequest, name: str, scheme: str, width: int
) -> None:
    """axe finds nothing, with every check open, in the light and in the dark, on a wide and on a narrow screen."""
    from axe_playwright_python.sync_playwright import Axe

    shown = opened(browser, request.getfixturevalue(name), tmp_path, scheme=scheme, width=width)
    shown.get_by_role("button", name="Open all").click()
    results = Axe().run(shown)
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_cut_at_the_side(browser: Browser, broken: Report, tmp_path: Path, width: int) -> None:
    """No screen has to be moved sideways, and each drawing of the stack is shown where it fits."""
    shown = opened(browser, broken, tmp_path, width=width)
    shown.get_by_role("button", name="Open all").click()
    assert shown.evaluate("document.documentElement.scrollWidth") <= width
    assert shown.locator("svg.stack.wide").is_visible() == (width > 736)
    assert shown.locator("svg.stack.narrow").is_visible() == (width <= 736)


def test_it_can_be_used_with_the_keyboard(browser: Browser, broken: Report, tmp_path: Path) -> None:
    """Tab leads to the content, to the filter and into checks; Enter opens them."""
    shown = opened(browser, broken, tmp_path)
    shown.keyboard.press("Tab")
    assert shown.evaluate("document.activeElement.textContent") == "Skip to the content"
    filtered = shown.get_by_role("button", name="Not passed")
    filtered.focus()
    shown.keyboard.press("Enter")
    assert filtered.get_attribute("aria-pressed") == "true"
    assert shown.locator("details.check:visible").count() == 9
    shown.locator("#RST003 > summary").focus()
    assert shown.locator("#RST003").get_attribute("open") is not None
    shown.keyboard.press("Enter")
    assert shown.locator("#RST003").get_attribute("open") is None


def test_a_link_opens_its_check(browser: Browser, broken: Report, tmp_path: Path) -> None:
    """Also where the filter has hidden it."""
    shown = opened(browser, broken, tmp_path)
    shown.get_by_role("button", name="Not passed").click()
    assert not shown.locator("#RST001").is_visible()
    shown.evaluate("location.hash = 'RST001'")
    shown.locator("#RST001 .body").wait_for(state="visible")


def test_on_paper_everything_is_there(browser: Browser, green: Report, tmp_path: Path) -> None:
    """What is closed or filtered on the screen is printed, dark on white; afterwards all is as before."""
    shown = opened(browser, green, tmp_path, scheme="dark")
    shown.get_by_role("button", name="Not passed").click()
    shown.emulate_media(media="print")
    shown.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert shown.locator("details.check .body:visible").count() == len(green.checks)
    assert shown.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not shown.locator(".tools").is_visible()
    shown.evaluate("dispatchEvent(new Event('afterprint'))")
    assert shown.locator("details.check[open]").count() == 0


def test_scripts_of_others_do_not_run(browser: Browser, hostile: Report, tmp_path: Path) -> None:
    """Hostile text is shown, nothing of it is done."""
    shown = opened(browser, hostile, tmp_path)
    shown.get_by_role("button", name="Open all").click()
    assert shown.locator("img").count() == 0
    assert "<script>alert(1)</script>" in shown.locator("h1").inner_text()


def test_without_scripts_it_is_whole(browser: Browser, broken: Report, tmp_path: Path) -> None:
    """The buttons are not there, all else is."""
    file = tmp_path / "report.html"
    file.write_text(page(replace(broken, project="plain")), encoding="utf-8")
    shown = browser.new_context(java_script_enabled=False).new_page()
    shown.goto(file.as_uri())
    assert not shown.locator(".tools").is_visible()
    assert shown.locator("details.check").count() == len(broken.checks)
