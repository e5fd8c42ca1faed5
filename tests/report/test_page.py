"""`report.html`: whole, harmless, and without a network."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import pytest
from hostile import HOSTILE

from pytest_deploycheck.charts import BarChart, LineChart, RequestChart, ShareChart, to_json
from pytest_deploycheck.check import COURSE_URL, Concept
from pytest_deploycheck.report.badge import badge
from pytest_deploycheck.report.document import Report
from pytest_deploycheck.report.drawings import figure
from pytest_deploycheck.report.markup import Markup, element, prose
from pytest_deploycheck.report.page import page
from pytest_deploycheck.report.stack_drawing import stack_drawing

LOADS = ("src", "srcset", "data", "poster", "action", "formaction", "background", "xlink:href", "style")


class Reader(HTMLParser):
    """What a browser would make of a page: its elements and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))

    @property
    def tags(self) -> Counter[str]:
        """How many there are of each."""
        return Counter(tag for tag, _ in self.elements)


@pytest.mark.parametrize("name", ["broken", "green", "hostile"])
def test_nothing_is_loaded(name: str, request: pytest.FixtureRequest) -> None:
    """No attribute loads anything; links lead to the page itself or to the course; the policy forbids the rest."""
    text = page(request.getfixturevalue(name))
    reader = Reader(text)
    for tag, attributes in reader.elements:
        assert not attributes.keys() & set(LOADS), (tag, attributes)
        assert not [name for name in attributes if name.startswith("on")], (tag, attributes)
        if "href" in attributes:
            assert tag == "a"
            assert re.match(rf"#|{re.escape(COURSE_URL)}", attributes["href"] or ""), attributes
    assert not reader.tags.keys() & {"link", "img", "iframe", "object", "embed", "base", "form"}
    assert "default-src 'none'" in unescape(text)
    assert not re.search(r"url\(|@import", text.partition("</style>")[0])


def test_every_check_is_told_whole(broken: Report) -> None:
    """Each check has its promise, what was done, expected and seen, its fix if it failed, its link, and its charts."""
    text = page(broken)
    parts = {
        part[1]: part[0]
        for part in re.finditer(
            r'<details id="(\w+)" class="check.*?(?=<details id=|</section>)', text, re.DOTALL
        )
    }
    assert parts.keys() == {result.id for result in broken.checks}
    for result in broken.checks:
        part = parts[result.id]
        for said in (result.title, result.expected, *result.done, result.learn, *result.log):
            assert prose(said) in part or element("x", said)[3:-4] in part, (result.id, said)
        assert ("<dt>Fix</dt>" in part) == (result.status in ("failed", "warned", "blocked")), result.id
        assert part.count("<figure>") == len(result.charts)
    failed = next(result for result in broken.checks if result.id == "RST003")
    assert "deploy/supervisord.conf:27" in parts["RST003"]
    assert element("x", failed.seen)[3:-4] in parts["RST003"]


def test_ids_are_unique(broken: Report) -> None:
    """Links lead to one place each, and all of them to one that is there."""
    elements = Reader(page(broken)).elements
    ids = [attributes["id"] for _, attributes in elements if "id" in attributes]
    links = {
        str(attributes["href"])[1:]
        for _, attributes in elements
        if str(attributes.get("href", "")).startswith("#")
    }
    assert len(ids) == len(set(ids))
    assert links <= set(ids)


def test_hostile_texts_stay_texts(broken: Report, hostile: Report) -> None:
    """The page has the same elements whatever the project's texts are."""
    assert Reader(page(hostile)).tags == Reader(page(broken)).tags
    assert "\x00" not in page(hostile)
    assert "\x1b" not in page(hostile)
    assert "<script>alert" not in page(hostile)


def test_a_run_of_nothing_is_a_page() -> None:
    """Where nothing ran, there is a page that says so."""
    text = page(Report(project="x", duration_s=0.0, checks=[]))
    assert "no check ran" in text
    assert "0</b> of 7" in text


def test_markup_is_escaped_unless_it_is_markup() -> None:
    """Texts and attributes are escaped, elements are not, None is nothing."""
    inner = element("b", "1 < 2")
    assert element("p", inner, ' "q" & ', None, ["<i>"], title='"<', hidden=True, open=False) == Markup(
        '<p title="&quot;&lt;" hidden><b>1 &lt; 2</b> &quot;q&quot; &amp; &lt;i&gt;</p>'
    )


def test_code_in_prose() -> None:
    """What stands between two backticks is code, all else is text; one alone means nothing."""
    assert prose("`a<b>` is, `c") == "<code>a&lt;b&gt;</code> is, `c"


@pytest.mark.parametrize(
    ("name", "said", "colour"), [("broken", "4 of 7", "#b42318"), ("green", "7 of 7", "#0b7a4b")]
)
def test_badge(name: str, said: str, colour: str, request: pytest.FixtureRequest) -> None:
    """The badge is well-formed, says how many concepts are covered, and asks for nothing."""
    text = badge(request.getfixturevalue(name))
    root = ET.fromstring(text)
    assert said in (root.get("aria-label") or "")
    assert colour in text
    assert "href" not in text


def test_the_stack_is_drawn_as_it_is(broken: Report) -> None:
    """All parts with what is proven at each; what a project does not have is left out, and no concept is."""
    whole = stack_drawing(broken)
    bare = stack_drawing(
        replace(broken, stack={"manager": "none", "proxy": "none", "server": "uvicorn", "database": "none"})
    )
    for drawn, parts, links in ((whole, "client caddy gunicorn sqlite", 3), (bare, "client uvicorn", 1)):
        for part in parts.split():
            assert drawn.count(f">{part}</text>") == 2  # once for wide screens, once for narrow ones
        assert sum(drawn.count(f">{link}</text>") for link in ("https", "http", "sql")) == 2 * links
        assert [drawn.count(f'href="#{concept.slug}"') for concept in Concept] == [2] * len(Concept)
    assert ">none<" not in bare
    assert "no database" in bare


def test_drawn_requests_are_those_that_were_sent() -> None:
    """Each failed and slow request is a mark of its own, each good one a dot; the words say the same."""
    chart = RequestChart(
        title="t",
        requests={
            "a": [(t / 10, 0.01, 200) for t in range(20)]
            + [(0.55, 2.0, 200), (0.6, 0.1, 502), (0.7, 0.1, 503)]
        },
        moments=[(0.5, "kill")],
        slow_s={"a": 1.0},
        expected={"a": [503]},
    )
    drawn = figure(to_json(chart))
    assert drawn.count("h0") == 20
    assert [drawn.count(f'class="mark {kind}"') for kind in ("failed", "expected", "slow")] == [1, 1, 1]
    assert "23 requests, 1 failed (502), 1 as expected here (503), 1 slower than 1 s" in drawn
    assert ">kill</text>" in drawn


def test_a_time_without_answers_is_shaded() -> None:
    """It ends with the last request where none was answered any more."""
    requests = [(t / 10, 0.01, 200) for t in range(10)] + [(1 + t / 2, 0.01, 502) for t in range(10)]
    drawn = figure(to_json(RequestChart(title="t", requests={"a": requests})))
    assert 'class="pause"' in drawn
    assert "longest time without a good answer 4.59 s" in drawn


def test_limits_and_bands_are_told_in_words() -> None:
    """Who cannot see a picture gets what it shows."""
    memory = LineChart(
        title="m", unit="MiB", lines={"w": [(0.0, 100.0), (1.0, 384.0)]}, limit=512, limit_name="limit"
    )
    assert "at most 384 MiB, 75% of limit 512 MiB" in figure(to_json(memory))
    bars = BarChart(
        title="b", unit="MiB", bars={"all": {"shared": 28.0, "own": 100.0}}, limit=512, limit_name="limit"
    )
    assert "128 MiB, 25% of limit 512 MiB" in figure(to_json(bars))
    shares = ShareChart(title="s", shares={"x": 0.3, "y": 0.7, "z": 0.95}, band=(0.5, 0.9), band_name="aim")
    assert [word in figure(to_json(shares)) for word in ("30%, below", "70%, within", "95%, above")] == [
        True
    ] * 3


def test_hostile_text_is_really_in_it(hostile: Report) -> None:
    """The test above would tell nothing if the texts had been lost."""
    assert page(hostile).count("&lt;script&gt;alert(1)") > len(hostile.checks) * 4
    assert HOSTILE
