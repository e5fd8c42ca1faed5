"""The course in a real browser, from a folder and without a network: for eyes, keyboards and narrow screens."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag

import pytest
from harness import REPOSITORY
from html_pages import HtmlPage

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGES = sorted(file.stem for file in (REPOSITORY / "docs").glob("*.md"))
# One of each kind; the others are looked at with --docs-all.
QUICK = ("index", "restarts", "settings")
KIB = 1024


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Look at a few pages, or at all."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", PAGES if metafunc.config.option.docs_all else QUICK)


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


def opened(
    browser: Browser, site: Path, name: str, *, scheme: str = "light", width: int = 1280, scripts: bool = True
) -> Page:
    """Open a page from its file; what it asks from elsewhere, and what it complains about, is an error."""
    context = browser.new_context(
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 800},
        java_script_enabled=scripts,
        reduced_motion="reduce",
    )
    page = context.new_page()
    wrong: list[str] = []
    here = site.as_uri()
    page.on("request", lambda request: wrong.append(request.url) if not is_local(request.url, here) else None)
    page.on(
        "console",
        lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None,
    )
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((site / f"{name}.html").as_uri())
    assert wrong == []
    return page


def is_local(url: str, here: str) -> bool:
    """Say whether an address is one of the folder, or made in the page itself."""
    return url.startswith((here, "data:", "blob:"))


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_violation_of_accessibility(
    browser: Browser, site: Path, name: str, scheme: str, pytestconfig: pytest.Config
) -> None:
    """axe finds nothing on a page, in the light and in the dark."""
    if not pytestconfig.option.docs_all:
        pytest.skip("only with --docs-all")
    from axe_playwright_python.sync_playwright import Axe

    page = opened(browser, site, name, scheme=scheme)
    results = Axe().run(page)
    page.context.close()
    assert results.violations_count == 0, results.generate_report()


@pytest.mark.slow
def test_a_narrow_screen_is_not_moved_sideways(browser: Browser, site: Path, name: str) -> None:
    """On 360 pixels text is wrapped, and what cannot be (code, tables) moves within itself."""
    page = opened(browser, site, name, width=360)
    width = page.evaluate("document.documentElement.scrollWidth")
    page.context.close()
    assert width <= 360


@pytest.mark.slow
def test_a_quiz_is_answered_with_the_keyboard(browser: Browser, site: Path) -> None:
    """Tab and arrows choose, Enter checks; the verdict is told to who cannot see it, and gone at the next choice."""
    page = opened(browser, site, "restarts")
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
    page.context.close()


@pytest.mark.slow
def test_tools_are_chosen_with_the_keyboard(browser: Browser, site: Path) -> None:
    """The arrow leads from one tab of "In your world" to the next."""
    page = opened(browser, site, "restarts")
    tabs = page.locator("#in-your-world ~ .tabbed-set").first
    tabs.get_by_role("radio").first.focus()
    page.keyboard.press("ArrowRight")
    assert tabs.get_by_role("radio").nth(1).is_checked()
    assert tabs.locator(".tabbed-block").nth(1).is_visible()
    assert not tabs.locator(".tabbed-block").first.is_visible()
    page.context.close()


@pytest.mark.slow
def test_the_search_works_without_a_network(browser: Browser, site: Path) -> None:
    """Somebody who types an ID finds its paragraph."""
    page = opened(browser, site, "index")
    page.keyboard.press("/")
    page.keyboard.type("orphan")
    found = page.locator(".md-search-result__link").first
    found.wait_for(timeout=30_000)
    assert "restarts.html" in str(found.get_attribute("href"))
    page.context.close()


@pytest.mark.slow
def test_without_scripts_the_answers_can_be_read(browser: Browser, site: Path) -> None:
    """There is no button that does nothing, and the answers are in an element that the browser itself opens."""
    page = opened(browser, site, "restarts", scripts=False)
    question = page.locator("#quiz-restarts-1")
    assert not question.get_by_role("button").is_visible()
    question.locator("summary").click()
    assert question.locator("li").first.is_visible()
    page.context.close()


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
