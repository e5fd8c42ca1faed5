"""Markdown, annotations, changes since a baseline, and where things are written."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hostile import with_texts

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.charts import MOST_REQUESTS, around
from pytest_deploycheck.outcome import Evidence, Result, Status
from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.report import github
from pytest_deploycheck.report.baseline import Baseline, load_baseline
from pytest_deploycheck.report.document import Report
from pytest_deploycheck.report.files import FORMATS, require_folder, write_reports
from pytest_deploycheck.report.markdown import summary


def without_code(markdown: str) -> str:
    """Return Markdown without its blocks of code, which end at the first fence that is as long as the first."""
    return re.sub(r"(?ms)^(`{3,})text\n.*?^\1$", "", markdown)


def result(check_id: str, status: Status, evidence: Evidence | None = None, **more: Any) -> Result:
    """Make a result."""
    fields: dict[str, Any] = {
        "concept": "restarts",
        "title": "t",
        "duration_s": 1.0,
        "detail": "d",
        "measurements": {},
    }
    return Result(id=check_id, status=status, evidence=evidence, **{**fields, **more})


def test_summary_tells_concepts_and_failures(broken: Report) -> None:
    """A row for each concept, the whole message of each failure, and one line for what is not observed."""
    text = summary(broken)
    assert "## Deployment of notes-api: 4 of 7 concepts covered" in text
    assert "| ❌ | Restarts | 9 of 11 | failed |" in text
    assert text.count("<details>") == text.count("</details>") == 8
    assert "- deploy/supervisord.conf:27: autorestart=true" in text
    assert "- `REP007` the database can take the pool: not applicable" in text


def test_hostile_texts_are_no_markdown(broken: Report, hostile: Report) -> None:
    """No tag, link or code begins in a text of the project's, and no block ends early."""
    text = without_code(summary(hostile))
    titles = re.findall("<summary>.*</summary>", text)  # HTML, in which nothing is Markdown
    text = re.sub("<summary>.*</summary>", "", text)
    assert len(titles) == without_code(summary(broken)).count("<summary>")
    assert not [title for title in titles if re.search("<(?!/?(summary|code)>)", title)]
    assert "```" not in text
    assert not re.search(r"(?<!\\)<(?!/?details>)", text)
    assert not re.search(r"(?<!\\)\]\(", text)
    assert not re.search(r"(?m)^::", text)


def test_a_fence_in_a_message_does_not_end_the_block(broken: Report) -> None:
    """The fence is longer than any in the text."""
    failed = [replace(broken.checks[0], status=Status.FAILED, detail="a\n`````\n<b>b</b>")]
    assert "``````text\na\n`````\n<b>b</b>\n``````" in summary(replace(broken, checks=failed))


def test_annotations_are_at_file_and_line(broken: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure is an error, a warning one, at the line of the advice, as seen from the repository."""
    monkeypatch.setenv("GITHUB_WORKSPACE", "/repository")
    lines = github.annotate(broken, Path("/repository/backend"))
    (line,) = [line for line in lines if "RST003" in line]
    assert line.startswith(
        "::error file=backend/deploy/supervisord.conf,line=27,title=RST003%3A a clean exit is restarted too::"
    )
    assert "::nothing was started in its place" in line
    assert "%0Adeploy/supervisord.conf:27  autorestart=true" in line
    assert [line.partition(" ")[0] for line in lines if "TLS016" in line] == ["::warning"]


def test_annotations_of_hostile_texts_are_one_line_each(broken: Report, hostile: Report) -> None:
    """No text begins a command of its own, or another property."""
    lines = github.annotate(hostile, Path("/repository"))
    assert len(lines) == len(github.annotate(broken, Path("/repository")))
    for line in lines:
        assert len(line.splitlines()) == 1
        properties = line.split("::")[1]
        assert re.fullmatch(r"(error|warning) (file=[^,:]+,)?(line=\d+,)?title=[^,:]+", properties), (
            properties
        )


def test_what_is_blocked_by_one_thing_is_told_once() -> None:
    """Sixty checks that wait for one stack are one annotation."""
    checks = [result(f"RST{number:03}", Status.BLOCKED, seen="no stack") for number in range(60)]
    report = Report(project="x", duration_s=1.0, checks=checks)
    (line,) = github.annotate(report, Path("/x"))
    assert line.startswith("::error title=blocked%3A RST000%2C RST001%2C ")
    assert line.endswith("::no stack")
    assert summary(report).count("no stack") == 1
    assert summary(report).count("<code>RST0") == 60
    assert "60 checks are blocked" in FORMATS["report.html"](report)


def test_advice_without_a_line_names_the_file() -> None:
    """GitHub shows it at the head of the file."""
    check = result(
        "RST001", Status.FAILED, advice=[Advice("a,b:c.conf", None, "do")], seen="s", fix="f", learn="l"
    )
    (line,) = github.annotate(Report(project="x", duration_s=1.0, checks=[check]), Path.cwd())
    assert line == "::error file=a%2Cb%3Ac.conf,title=RST001%3A t::s%0Aa,b:c.conf  do%0Af%0Al"


def test_a_place_that_a_message_names_comes_first(tmp_path: Path) -> None:
    """What a parser said of a file of the project is nearer than general advice; what is no file is no place."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/Caddyfile").touch()
    seen = "127.0.0.1:8443 refused; deploy/Caddyfile:12: unknown directive"
    failed = result("BOOT002", Status.FAILED, seen=seen, advice=[Advice("supervisord.conf", 3, "a")])
    blocked = result("RST001", Status.BLOCKED, seen=f"the stack cannot be run: {seen}")
    lines = github.annotate(Report(project="x", duration_s=1.0, checks=[failed, blocked]), tmp_path)
    assert [line.split(",title")[0].rpartition("/")[2] for line in lines] == ["Caddyfile,line=12"] * 2


def test_lines_of_logs_are_no_commands() -> None:
    """GitHub reads commands from all that a job prints, also behind spaces."""
    assert github.harmless("a\n  ::error::b\n##[group]c\nd::e") == "a\n   | ::error::b\n | ##[group]c\nd::e"


def test_changes_since_a_baseline() -> None:
    """Each kind of change, and nothing of what stayed the same."""
    observed, declared = (Status.PASSED, Evidence.OBSERVED), (Status.PASSED, Evidence.DECLARED)
    failed, skipped = (Status.FAILED, None), (Status.NOT_VERIFIED, None)
    cases = {
        "RST001": (observed, observed),
        "RST002": (observed, failed),
        "RST003": (failed, observed),
        "RST004": (observed, skipped),
        "RST005": (observed, declared),
        "RST006": (skipped, failed),
        "RST007": (failed, failed),
        "RST008": (skipped, observed),
        "RST009": (failed, skipped),
    }
    before = {check_id: result(check_id, *old) for check_id, (old, _) in cases.items()}
    now = [result(check_id, *new) for check_id, (_, new) in cases.items()]
    changes = Baseline(file="f", results={**before, "OLD001": result("OLD001", *observed)}).changes(
        [*now, result("NEW001", *observed)]
    )
    assert changes.newly_failing == ["RST002", "RST006"]
    assert changes.newly_passing == ["RST003", "RST008"]
    assert changes.no_longer_observed == ["RST004", "RST005"]
    assert changes.new == ["NEW001"]
    assert changes.not_run == ["OLD001"]


def test_changes_are_in_page_and_summary(broken: Report, green: Report) -> None:
    """What is newly failing is linked in the page and named in the summary."""
    before = Baseline(file="old/report.json", results={one.id: one for one in green.checks})
    report = replace(broken, changes=before.changes(broken.checks))
    assert "- newly failing: TLS003, TLS009, TLS016, RST003, RST009, MEM002, MEM003, MEM004" in summary(
        report
    )
    assert re.search(
        r"<dt>newly failing</dt><dd><a href=\"#TLS003\">TLS003</a>", FORMATS["report.html"](report)
    )
    same = replace(
        broken,
        changes=Baseline(file="f", results={one.id: one for one in broken.checks}).changes(broken.checks),
    )
    assert "Nothing has changed." in summary(same)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("", "no JSON"),
        ("[1]", "no report.json of an earlier run"),
        ('{"schema": 2}', "schema 2 is not known, only 1"),
        ('{"schema": true}', "schema True is not known"),
        ('{"schema": 1}', "its checks cannot be read (KeyError: 'checks')"),
        ('{"schema": 1, "checks": [1]}', "its checks cannot be read"),
        (
            '{"schema": 1, "checks": [{"id": "X", "concept": "x", "title": "x", "status": "odd", "evidence": null}]}',
            "odd",
        ),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_a_wrong_baseline_is_one_line(tmp_path: Path, content: str | None, said: str) -> None:
    """It names the option, the file and what is wrong."""
    file = tmp_path / "report.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(pytest.UsageError) as caught:
        load_baseline(str(file))
    message = str(caught.value)
    assert message.startswith(f"--deploycheck-baseline {file}: ")
    assert said in message
    assert "\n" not in message


def test_a_baseline_of_another_version_is_read(document: dict[str, Any], tmp_path: Path) -> None:
    """Fields that are not known are left alone, those that are not compared may be missing."""
    checks = [
        {name: check[name] for name in ("id", "concept", "title", "status", "evidence")} | {"later": 1}
        for check in document["checks"]
    ]
    file = tmp_path / "report.json"
    file.write_text(json.dumps({"schema": 1, "checks": checks, "later": []}))
    assert load_baseline(str(file)).results.keys() == {check["id"] for check in checks}


def test_a_folder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    """Early, and in one line."""
    (tmp_path / "file").touch()
    require_folder(tmp_path / "new" / "folder")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(pytest.UsageError, match="is a file, no folder"):
            require_folder(folder)


def test_all_reports_are_written(broken: Report, tmp_path: Path) -> None:
    """Each file is named, and what was there before is replaced."""
    folder = tmp_path / "a" / "b"
    assert {file.name for file in write_reports(folder, broken)} == {
        "report.html",
        "report.json",
        "summary.md",
        "badge.svg",
    }
    again = write_reports(folder, replace(broken, project="other"))
    assert all(file.is_file() for file in again)
    assert json.loads((folder / "report.json").read_text())["project"] == "other"


def test_reading_a_report_loses_nothing(document: dict[str, Any]) -> None:
    """A report that was read is the one that was written."""
    assert json.loads(json.dumps(Report.from_json(document).to_json())) == document


def test_many_requests_are_thinned_and_failures_kept() -> None:
    """All that failed or were slow are listed, of the others evenly some; how many were left out is told."""
    good = [Answer(t / 100, t / 100 + 0.01, 200) for t in range(3000)]
    bad = [Answer(t + 0.005, t + 0.015, 502) for t in range(7)]
    slow = [Answer(9.001, 11.0, 200)]
    chart = around("t", {"a": [*good, *bad, *slow]}, [(5.0, "now")])
    kept = chart.requests["a"]
    assert sum(status == 502 for _, _, status in kept) == 7
    assert sum(took > 1 for _, took, _ in kept) == 1
    assert len(kept) == MOST_REQUESTS
    assert chart.left_out["a"] == 3008 - MOST_REQUESTS
    assert chart.moments == [(0.0, "now")]
    assert kept[0][0] == -5.0
    starts = [start for start, _, status in kept if status == 200]
    assert max(later - earlier for earlier, later in itertools.pairwise(starts)) < 0.3


def test_with_texts_reaches_what_it_should(document: dict[str, Any]) -> None:
    """The hostile report differs in what was done, seen, measured and logged."""
    changed = with_texts(document, lambda text: f"{text}!")
    check, before = (next(one for one in it["checks"] if one["id"] == "RST003") for it in (changed, document))
    assert check["done"] == [f"{text}!" for text in before["done"]]
    assert check["status"] == before["status"]
    assert list(check["log"]) == [f"{name}!" for name in before["log"]]
