"""The course in a real browser, from a folder and without a network: for eyes, keyboards and narrow screens."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag

import pytest
from harness import REPOSITORY
from html_pages import HtmlPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, ViewportSize

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGES = sorted(file.stem for file in (REPOSITORY / "docs").glob("*.md"))
WIDE: ViewportSize = {"width": 1280, "height": 800}
NARROW: ViewportSize = {"width": 360, "height": 800}
# A page sees some time after it has become narrow what moves within itself now, and lets the keyboard reach it.
ALL_ARE_REACHED = """[...document.querySelectorAll("pre > code, [role=group]")].every(
    one => one.scrollWidth <= one.clientWidth || one.tabIndex >= 0)"""
REACHED_DEADLINE_MS = 5000
KIB = 1024
# What is folded, and what is behind a tab, is read too.
UNFOLD = """
for (const details of document.querySelectorAll("details")) details.open = true, details.hidden = false;
document.head.append(Object.assign(document.createElement("style"), {
  textContent: ".tabbed-block { display: block !important } * { transition: none !important }",
}));
"""
# Marks one text of each look that no page had before, and returns these looks: axe takes most of its time for the
# contrast of all that look the same.
MARK_LOOKS = """
(known) => {
  const looks = new Set(known);
  for (const element of document.querySelectorAll("body *")) {
    const texts = [...element.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
    if (!texts.length || !element.checkVisibility()) continue;
    const { color, fontSize, fontWeight, opacity, textDecorationLine } = getComputedStyle(element);
    const backgrounds = new Set();
    for (let each = element; each; each = each.parentElement) backgrounds.add(getComputedStyle(each).backgroundColor);
    const look = [color, fontSize, fontWeight, opacity, textDecorationLine, ...backgrounds].join();
    element.toggleAttribute("data-look", !looks.has(look));
    looks.add(look);
  }
  return [...looks].slice(known.length);
}
"""
LOOKS = "[data-look]"
OF_COLOURS = ["color-contrast", "link-in-text-block"]  # rules of axe


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course as it is handed on in a folder: `OFFLINE=true make docs`."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "OFFLINE": "true"}
    done = subprocess.run(
        command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser."""
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--allow-file-access-from-files"]
        )
        yield browser
        browser.close()


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A page that is open.

    Attributes:
        page: the page.
        wrong: what it has asked from elsewhere, and what it has complained about, so far.
    """

    page: Page
    wrong: list[str]


@contextmanager
def tab(browser: Browser, site: Path, *, scripts: bool = True) -> Iterator[Opened]:
    """Open a tab for pages of the folder."""
    context = browser.new_context(
        viewport=WIDE, color_scheme="light", java_script_enabled=scripts, reduced_motion="reduce"
    )
    page = context.new_page()
    wrong: list[str] = []
    here = site.as_uri()
    page.on("request", lambda request: None if is_local(request.url, here) else wrong.append(request.url))
    page.on(
        "console",
        lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: wrong.append(str(error)))
    yield Opened(page=page, wrong=wrong)
    context.close()


@contextmanager
def opened(browser: Browser, site: Path, name: str, *, scripts: bool = True) -> Iterator[Opened]:
    """Open a page from its file."""
    with tab(browser, site, scripts=scripts) as new:
        new.page.goto((site / f"{name}.html").as_uri())
        yield new


def is_local(url: str, here: str) -> bool:
    """Say whether an address is one of the folder, or made in the page itself."""
    return url.startswith((here, "data:", "blob:"))


@pytest.fixture(scope="module")
def one_tab(browser: Browser, site: Path) -> Iterator[Opened]:
    """A tab for one page after the other: what they share is loaded once."""
    with tab(browser, site) as one:
        yield one


@pytest.fixture(scope="module", params=PAGES)
def each(one_tab: Opened, site: Path, request: pytest.FixtureRequest) -> Opened:
    """Each page, opened once for all tests that look at it and leave it as it was."""
    one_tab.wrong.clear()
    one_tab.page.goto((site / f"{request.param}.html").as_uri())
    return one_tab


@pytest.fixture(scope="module")
def known_looks() -> list[str]:
    """The looks of texts that axe has seen already."""
    return []


@pytest.fixture
def chapter(browser: Browser, site: Path) -> Iterator[Page]:
    """A page with a quiz and tabs, of which a test may make what it likes."""
    with opened(browser, site, "restarts") as restarts:
        yield restarts.page


@pytest.mark.slow
def test_a_page_asks_nothing_from_elsewhere(each: Opened) -> None:
    """No request leaves the folder, and there is no error in the console."""
    each.page.wait_for_load_state("networkidle")
    assert each.wrong == []


@pytest.mark.slow
def test_a_narrow_screen_is_not_moved_sideways(each: Opened) -> None:
    """On 360 pixels text is wrapped, and what cannot be (code, tables) moves within itself."""
    each.page.set_viewport_size(NARROW)
    width = each.page.evaluate("document.documentElement.scrollWidth")
    each.page.set_viewport_size(WIDE)
    assert width <= NARROW["width"]


@pytest.mark.slow
def test_each_question_and_each_tab_can_be_reached_with_the_keyboard(each: Opened) -> None:
    """Each question tells its verdict after Space and Enter; each row of tabs moves on with an arrow."""
    page = each.page
    for question in page.locator(".quiz form").all():
        question.get_by_role("radio").last.focus()
        page.keyboard.press("Space")
        page.keyboard.press("Enter")
        assert question.get_by_role("status").inner_text().startswith(("Right. ", "Not this one. "))
    for tabs in page.locator(".tabbed-set").all():
        tabs.get_by_role("radio").first.focus()
        page.keyboard.press("ArrowRight")
        assert tabs.locator(".tabbed-block").nth(1).is_visible()


@pytest.mark.slow
def test_no_violation_of_accessibility(
    each: Opened, known_looks: list[str], pytestconfig: pytest.Config
) -> None:
    """axe finds nothing: in the light; and in the dark and on a narrow screen, of what these change."""
    from axe_playwright_python.sync_playwright import Axe
    from playwright.sync_api import Error as PlaywrightError

    page, axe = each.page, Axe("0")

    def found(*rules: str, within: str | None = None) -> str:
        """Return what axe says to these rules, or to all but those of colours."""
        only = {"runOnly": rules} if rules else {"rules": {name: {"enabled": False} for name in OF_COLOURS}}
        results = axe.run(page, within, {"resultTypes": ["violations"], **only})
        return results.generate_report() if results.violations_count else ""

    def found_in_colours() -> str:
        """Return what axe says to each new look of a text, or to each text."""
        if pytestconfig.option.docs_all:
            return found(*OF_COLOURS)
        looks = page.evaluate(MARK_LOOKS, known_looks)
        known_looks.extend(looks)
        return found(*OF_COLOURS, within=LOOKS) if looks else ""

    page.evaluate(UNFOLD)
    page.evaluate(Axe().axe_script)
    wrong = found() + found_in_colours()
    page.emulate_media(color_scheme="dark")
    page.locator('body[data-md-color-scheme="slate"]').wait_for()
    page.set_viewport_size(NARROW)
    with suppress(PlaywrightError):  # then axe says what cannot be reached
        page.wait_for_function(ALL_ARE_REACHED, timeout=REACHED_DEADLINE_MS)
    wrong += found("scrollable-region-focusable") + found_in_colours()
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(WIDE)
    assert not wrong, wrong


@pytest.mark.slow
def test_a_quiz_is_answered_with_the_keyboard(chapter: Page) -> None:
    """Tab and arrows choose, Enter checks; the verdict is told to who cannot see it, and gone at the next choice."""
    page = chapter
    question = page.locator("#quiz-restarts-1")
    status = question.get_by_role("status")
    assert not question.locator("details").is_visible()
    question.get_by_role("button", name="Check").press("Enter")
    assert status.inner_text() == "Choose an answer first."
    question.get_by_role("radio").first.focus()
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Check"
    page.keyboard.press("Enter")
    assert status.inner_text().startswith("Not this one.")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("ArrowDown")
    assert status.inner_text() == ""
    page.keyboard.press("Enter")
    assert status.inner_text().startswith("Right.")


@pytest.mark.slow
def test_tools_are_chosen_with_the_keyboard(chapter: Page) -> None:
    """The arrow leads from one tab of "In your world" to the next."""
    tabs = chapter.locator("#in-your-world ~ .tabbed-set").first
    tabs.get_by_role("radio").first.focus()
    chapter.keyboard.press("ArrowRight")
    assert tabs.get_by_role("radio").nth(1).is_checked()
    assert tabs.locator(".tabbed-block").nth(1).is_visible()
    assert not tabs.locator(".tabbed-block").first.is_visible()


@pytest.mark.slow
def test_the_search_works_without_a_network(browser: Browser, site: Path) -> None:
    """Somebody who types a word finds its paragraph."""
    with opened(browser, site, "index") as home:
        home.page.keyboard.press("/")
        home.page.keyboard.type("orphan")
        found = home.page.locator(".md-search-result__link").first
        found.wait_for(timeout=30_000)
        assert "restarts.html" in str(found.get_attribute("href"))
        assert home.wrong == []


@pytest.mark.slow
def test_without_scripts_the_answers_can_be_read(browser: Browser, site: Path) -> None:
    """There is no button that does nothing, and the answers are in an element that the browser itself opens."""
    with opened(browser, site, "restarts", scripts=False) as chapter:
        question = chapter.page.locator("#quiz-restarts-1")
        assert not question.get_by_role("button").is_visible()
        question.locator("summary").click()
        assert question.locator("li").first.is_visible()


def test_links_and_anchors_lead_somewhere(site: Path) -> None:
    """Each link within the site has its file, and in it its anchor."""
    pages = {file.resolve(): HtmlPage(file) for file in site.glob("*.html") if file.name != "404.html"}
    broken = []
    for file, page in pages.items():
        for link in page.links:
            address, anchor = urldefrag(link)
            if ":" in address:
                continue
            target = (file.parent / unquote(address)).resolve() if address else file
            there = target.is_file() and (not anchor or target not in pages or anchor in pages[target].ids)
            if not there and anchor != "__skip":
                broken.append(f"{file.name}: {link}")
    assert broken == []


def test_pages_are_small(site: Path) -> None:
    """Each page is at most 300 KiB, with all that it loads, as a server sends it."""
    heavy = []
    for file in site.glob("*.html"):
        loaded = [file, *((site / source).resolve() for source in HtmlPage(file).loads)]
        sent = sum(len(gzip.compress(each.read_bytes())) for each in loaded if each.is_file())
        if sent > 300 * KIB:
            heavy.append(f"{file.name}: {sent // KIB} KiB")
    assert heavy == []
