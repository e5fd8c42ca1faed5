"""One real run of a broken project in a job of GitHub Actions: every report of it is looked at."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import pytest
from harness import Change, Verdict, copy_of, run_deploycheck
from test_schema import SCHEMA, closed

pytestmark = pytest.mark.slow

SELECTED = "RST001,RST005,TLS003,TLS016"
# HSTS on plain HTTP too fails TLS003; HTTP/1.1 only warns (TLS016).
HSTS = 'Strict-Transport-Security "max-age=31536000"'
BREAKS = (
    Change(file="deploy/Caddyfile", old="\t@domain host", new=f"\theader {HSTS}\n\t@domain host"),
    Change(file="deploy/Caddyfile", old="strict_sni_host on", new="strict_sni_host on\n\t\tprotocols h1"),
)
# The app tells its secret to whoever reads its log, as it is and in an address, and a command to GitHub.
TELLS = """

import itertools, os, threading, time, urllib.parse


def _tell():
    for _ in itertools.count():
        token = os.environ["API_TOKEN"]
        print(f"::notice::the token is {token}", f"?token={urllib.parse.quote(token, safe='')}", flush=True)
        time.sleep(0.1)


threading.Thread(target=_tell, daemon=True).start()
"""


@dataclass(frozen=True, kw_only=True)
class Run:
    """The run, and all that it wrote."""

    verdict: Verdict
    token: str
    reports: dict[str, str]
    job_page: str
    junit: ET.Element

    @property
    def document(self) -> dict[str, Any]:
        """The content of `report.json`."""
        content: dict[str, Any] = json.loads(self.reports["report.json"])
        return content


@pytest.fixture(scope="module")
def run(baked: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Run some checks on a broken project that tells its secrets."""
    folder = tmp_path_factory.mktemp("job")
    project = copy_of(baked(app_server="gunicorn"), folder / "backend")
    for change in BREAKS:
        change.apply(project)
    main = project / "src/notes_api/main.py"
    main.write_text(main.read_text() + TELLS)
    env_file = project / ".env"
    token = "s3cret/with spaces+and%signs, and long enough"
    env_file.write_text(
        re.sub("^API_TOKEN=.*", f"API_TOKEN='{token}'", env_file.read_text(), flags=re.MULTILINE)
    )
    before = {"id": "TLS003", "concept": "https", "title": "t", "status": "passed", "evidence": "observed"}
    baseline = folder / "before.json"
    baseline.write_text(json.dumps({"schema": 1, "checks": [before, {**before, "id": "TLS001"}]}))
    page = folder / "summary"
    page.write_text("what an earlier step said\n\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GITHUB_ACTIONS", "true")
        patch.setenv("GITHUB_STEP_SUMMARY", str(page))
        patch.setenv("GITHUB_WORKSPACE", str(folder))
        verdict = run_deploycheck(
            project,
            f"--deploycheck-select={SELECTED}",
            f"--deploycheck-baseline={baseline}",
            f"--junit-xml={folder / 'junit.xml'}",
        )
    return Run(
        verdict=verdict,
        token=token,
        reports={file.name: file.read_text() for file in (project / "deploycheck-report").iterdir()},
        job_page=page.read_text(),
        junit=ET.parse(folder / "junit.xml").getroot(),
    )


def test_it_is_the_run_that_it_should_be(run: Run) -> None:
    """One fails, one warns, two pass."""
    assert run.verdict.ids("failed") == {"TLS003"}, run.verdict.explain()
    assert run.verdict.ids("warned") == {"TLS016"}
    assert run.verdict.ids("passed") == {"RST001", "RST005"}


def test_json_is_what_the_schema_says(run: Run) -> None:
    """A real report is valid, and holds nothing that the schema does not name."""
    jsonschema.validate(run.document, closed(SCHEMA))


def test_pictures_are_of_real_requests(run: Run) -> None:
    """The chart of the killed worker has as many requests as were measured, before and after the kill."""
    (check,) = (check for check in run.document["checks"] if check["id"] == "RST001")
    (chart,) = check["charts"]
    ((name, requests),) = chart["requests"].items()
    assert len(requests) + chart["left_out"][name] == check["measurements"]["requests"]
    assert min(start for start, _, _ in requests) < 0 < max(start for start, _, _ in requests)
    assert chart["moments"][0] == [0.0, "SIGKILL to one worker"]
    log = [line for lines in check["log"].values() for line in lines]
    for what in ("SIGKILL", "ASGI server listening"):
        assert any(what in line for line in log), log


def test_what_was_done_and_seen_is_there(run: Run) -> None:
    """A failure has what was seen, the manager's state, log lines and advice; a passed check its steps."""
    checks = {check["id"]: check for check in run.document["checks"]}
    failed = checks["TLS003"]
    assert failed["seen"].startswith("plain HTTP says it too")
    assert "RUNNING" in failed["state"] or "STARTING" in failed["state"]
    assert {advice["file"] for advice in failed["advice"]} == {"deploy/Caddyfile"}
    assert len(failed["log"]) >= 2
    assert checks["RST005"]["done"][1].endswith("requests that raise RuntimeError")
    assert checks["RST005"]["seen"] == ""


def test_every_file_is_named_at_the_end(run: Run) -> None:
    """Who reads the terminal knows where to look."""
    for name in ("report.html", "report.json", "summary.md", "badge.svg"):
        assert re.search(rf"^report: .*/deploycheck-report/{name}$", run.verdict.output, re.MULTILINE)
    assert run.reports.keys() == {"report.html", "report.json", "summary.md", "badge.svg"}


def test_the_job_page_gets_the_summary(run: Run) -> None:
    """It is appended: other steps have a page too."""
    assert run.job_page == f"what an earlier step said\n\n{run.reports['summary.md']}"


def test_annotations_are_the_only_commands(run: Run) -> None:
    """The failure and the warning are at their file; what the project printed is no command."""
    commands = [line for line in run.verdict.output.splitlines() if re.match(r"\s*(::|##\[)", line)]
    assert sorted(line.partition("::")[2].partition(" title")[0].split(",title")[0] for line in commands) == [
        "error file=backend/deploy/Caddyfile",
        "warning file=backend/deploy/Caddyfile",
    ]


def test_changes_are_told(run: Run) -> None:
    """In the terminal, in the summary and in the page."""
    assert re.search(r"since .*before\.json", run.verdict.output)
    assert re.search(r"newly failing +TLS003$", run.verdict.output, re.MULTILINE)
    assert "- newly failing: TLS003" in run.reports["summary.md"]
    assert "- not run this time: TLS001" in run.reports["summary.md"]
    assert run.document["changes"]["new"] == ["TLS016", "RST001", "RST005"]


def test_junit_tells_which_check_it_is(run: Run) -> None:
    """Concept, ID, status and evidence are properties of each test case."""
    found = {
        tuple(
            str(prop.get("value"))
            for prop in case.iter("property")
            if str(prop.get("name")).startswith("deploycheck_")
        )
        for case in run.junit.iter("testcase")
    }
    assert found == {
        ("TLS003", "https", "failed", "none"),
        ("TLS016", "https", "warned", "none"),
        ("RST001", "restarts", "passed", "observed"),
        ("RST005", "restarts", "passed", "observed"),
    }


def test_the_secret_is_nowhere(run: Run) -> None:
    """The logs that are shown hold it, and every report names it instead."""
    texts = {
        **run.reports,
        "job page": run.job_page,
        "terminal": run.verdict.output,
        "junit": ET.tostring(run.junit, encoding="unicode"),
    }
    for name, text in texts.items():
        for part in (run.token, "s3cret", "and%25signs"):
            assert part not in text, name
    for name in ("report.json", "report.html"):
        assert "the token is" in texts[name]
        assert "API_TOKEN" in texts[name]
