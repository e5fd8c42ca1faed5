"""What is in a page of the built course."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path


class HtmlPage(HTMLParser):
    """What a page links to, what can be linked to in it, what it loads, and its forms."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()
        self.loads: list[str] = []
        self.forms: list[str] = []
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Take one element."""
        values = dict(attributes)
        self.ids |= {value for key in ("id", "name") if (value := values.get(key))}
        if tag == "a" and (link := values.get("href")):
            self.links.append(link)
        if tag == "link" and "stylesheet" in str(values.get("rel")):
            self.loads.append(str(values["href"]))
        if tag in ("img", "script") and (source := values.get("src")):
            self.loads.append(source)
        if tag == "form" and (name := values.get("id")):
            self.forms.append(name)
