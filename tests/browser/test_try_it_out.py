"""The interactive docs below a path prefix work in a real browser, as `check_docs_work_under_a_path_prefix` says."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness import bake

from pytest_deploycheck.reader import load
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.workshop import Workshop

pytestmark = pytest.mark.slow

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
INSTALL = "no Chromium: apt-get install chromium"
NETWORK_OF_OTHERS = "**/*"


@pytest.fixture(params=["gunicorn", "uvicorn"])
def stack(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stack]:
    """Start a generated project that is served below /api, as in production."""
    workshop = Workshop(load(bake(tmp_path, app_server=request.param, path_prefix="/api")))
    try:
        yield workshop.gentle.steady()
    finally:
        workshop.close()


def swagger_ui(name: str) -> Path:
    """Return a file of Swagger UI, which the page gets from a CDN."""
    spec = importlib.util.find_spec("fastapi_offline")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "static" / name


@pytest.mark.skipif(BROWSER is None, reason=INSTALL)
def test_try_it_out_works_below_a_prefix(stack: Stack, tmp_path: Path) -> None:
    """Whoever opens /api/docs and presses "Execute" on the health route sees its 200."""
    from playwright.sync_api import Route, expect, sync_playwright

    site = f"https://{stack.entry.domain}"

    def serve(route: Route) -> None:
        name = route.request.url.rpartition("/")[2]
        if route.request.url.startswith(f"{site}/"):
            route.continue_()
        elif name in ("swagger-ui-bundle.js", "swagger-ui.css"):
            route.fulfill(path=swagger_ui(name))
        else:
            route.abort()

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=BROWSER,
            args=[
                "--no-sandbox",
                f"--host-resolver-rules=MAP {stack.entry.domain}:443 127.0.0.1:{stack.entry.https_port}",
            ],
        )
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.route(NETWORK_OF_OTHERS, serve)
        page.goto(f"{site}/api/docs")
        health = page.locator(".opblock", has=page.locator('[data-path="/health/live"]'))
        health.click()
        health.get_by_role("button", name="Try it out").click()
        health.get_by_role("button", name="Execute").click()
        expect(health.locator(".request-url")).to_contain_text(f"{site}/api/health/live", timeout=15_000)
        expect(health.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
        page.screenshot(path=tmp_path / "docs.png", full_page=True)
        browser.close()
