"""The built course."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the course, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_pages_ask_nothing_from_other_servers(site: Path) -> None:
    """No script, style, font or picture comes from elsewhere; links that a reader follows may."""
    loaded = re.compile(r"""<(?:script|img|iframe|source)[^>]*\ssrc="?https?://|<link[^>]*href="?https?://""")
    pages = list(site.rglob("*.html"))
    assert pages
    assert [str(page) for page in pages if loaded.search(page.read_text(encoding="utf-8"))] == []


def test_failure_messages_lead_to_an_anchor(site: Path) -> None:
    """The address that a failing check prints has its paragraph."""
    from pytest_deploycheck.check import COURSE_URL, all_checks

    missing = []
    for check in all_checks():
        page, _, anchor = check.url.removeprefix(COURSE_URL).strip("/").partition("#")
        html = (site / page / "index.html").read_text(encoding="utf-8")
        if not re.search(rf'id="?{anchor}\b', html):
            missing.append(check.id)
    assert missing == []


def test_pictures_draw_without_a_network() -> None:
    """The SVG of the terminal report loads no font, and shows no folder of the machine it comes from."""
    for picture in (ROOT / "docs").rglob("*.svg"):
        text = picture.read_text(encoding="utf-8")
        assert "@font-face" not in text
        assert not re.search(r"url\([\"']?https?:", text)
        assert not re.search(r"(?<![\w.~…])/(?:tmp|home|root|work|var)/", text)
