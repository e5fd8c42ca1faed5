"""The course does not depend on MkDocs alone: Zensical, the successor that its theme names, builds it too."""

import shutil
from pathlib import Path

import pytest
from harness import REPOSITORY, run_tool
from html_pages import HtmlPage

SOURCES = ("docs", "mkdocs.yml", "CHANGELOG.md")
OF_THE_THEME = {"query", "search"}  # its search form


def built(folder: Path, *command: str) -> dict[str, HtmlPage]:
    """Build the course in a folder of its own; return the pages by their paths."""
    folder.mkdir()
    for name in SOURCES:
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    run_tool(folder, *command)
    site = folder / "site"
    return {str(file.relative_to(site)): HtmlPage(file) for file in site.rglob("*.html")}


def test_zensical_makes_the_same_pages(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages, the anchors that others link to, and the quizzes are the same."""
    if not request.config.getoption("--docs-all"):
        pytest.skip("only with --docs-all")
    pytest.importorskip("zensical", reason="pip install zensical")
    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    one = built(tmp_path / "mkdocs", "mkdocs", "build", "--strict", "--quiet")
    two = built(tmp_path / "zensical", "zensical", "build")
    assert one.keys() == two.keys()
    for name, page in one.items():
        assert {each for each in page.ids ^ two[name].ids if not each.startswith("__")} <= OF_THE_THEME, name
        assert page.forms == two[name].forms, name
