"""What the plugin says before it runs anything: options, settings, and projects that it cannot check."""

from __future__ import annotations

from pathlib import Path

import pytest

CONF = "[program:app]\ncommand=gunicorn app:app\n"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """A folder that looks deployable."""
    pytester.makefile(".conf", supervisord=CONF)
    pytester.makepyprojecttoml('[tool.deploycheck]\ndomain = "example.com"\n')
    pytester.makepyfile(test_own="def test_own():\n    assert True\n")
    return pytester


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest in a process of its own, as a user does."""
    return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments)


def error_line(result: pytest.RunResult) -> str:
    """Return the one line of a usage error."""
    lines = [line for line in result.stderr.lines if line]
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert len(lines) == 1, lines
    return lines[0]


def test_without_the_flag_only_own_tests_run(project: pytest.Pytester) -> None:
    """A plain pytest is untouched."""
    result = run(project)
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*deployment*")


@pytest.mark.parametrize(
    "option",
    [
        "--deploycheck-select=RST",
        "--deploycheck-report=x",
        "--deploycheck-baseline=x",
        "--deploycheck-strict",
    ],
)
def test_option_without_the_flag_is_refused(project: pytest.Pytester, option: str) -> None:
    """An option that would silently do nothing is an error."""
    assert "does nothing without --deploycheck" in error_line(run(project, option))


def test_a_folder_for_reports_is_not_taken_for_the_project(project: pytest.Pytester, tmp_path: Path) -> None:
    """pytest looks for its rootdir in all words that are paths: another project there would be checked unasked."""
    project.makepyprojecttoml('[tool.deploycheck]\ndomain = "here.example.com"\n[tool.pytest.ini_options]\n')
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\n[tool.deploycheck]\ndomain = "x"\n')
    line = error_line(run(project, "--deploycheck", "--deploycheck-report", str(tmp_path)))
    assert f"--deploycheck-report={tmp_path}" in line
    assert "--rootdir=." in line


def test_nothing_deployable(pytester: pytest.Pytester) -> None:
    """One line says what was looked for and how to configure it."""
    line = error_line(run(pytester, "--deploycheck"))
    assert "deploy/supervisord.conf" in line
    assert "[tool.deploycheck]" in line


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('domian = "x"', "'domian': did you mean domain?"),
        ("workers = 0", "workers must be a whole number from 1, not 0"),
        ('workers = "$NOWHERE"', "NOWHERE is not in .env"),
        ("workers = true", "workers must be a whole number from 1"),
        ('secrets = "API_TOKEN"', "secrets must be a list"),
        ('secrets_dir = "/run/secrets"', "secrets_dir must be a folder of the project"),
        ('secrets_dir = "../secrets"', "secrets_dir must be a folder of the project"),
        (
            'secrets = ["TOKEN"]\nsecrets_dir = ".secrets"\nrequests = { headers = { a = "$TOKEN" } }',
            "TOKEN is neither in .env nor in a file .secrets/token. Write it into that file",
        ),
        ("ports = [8080, '8443']", "ports must be a list of whole numbers"),
        ('requests = { live = "health" }', "live must be a path that starts with /"),
        ('requests = { write = "/notes" }', "write must be a table"),
        ("requests = { headers = { a = 1 } }", "headers] must be a table of strings"),
        ('database_url = "mysql://x"', "mysql is not supported"),
        ('waivers = { RST999 = "why" }', "RST999 is no check"),
        ('waivers = { RST001 = " " }', "RST001 needs a reason"),
        ("waivers = [", "pyproject.toml:"),
    ],
)
def test_wrong_setting_is_named(project: pytest.Pytester, table: str, said: str) -> None:
    """Each wrong setting gives one line that names it."""
    domain = "" if table.startswith("domian") else 'domain = "example.com"\n'
    project.makepyprojecttoml(f"[tool.deploycheck]\n{domain}{table}\n")
    if said == "pyproject.toml:":  # pytest itself reads that file first
        assert run(project, "--deploycheck").ret == pytest.ExitCode.USAGE_ERROR
    else:
        assert said in error_line(run(project, "--deploycheck", "--collect-only"))


def test_selection_that_selects_nothing(project: pytest.Pytester) -> None:
    """A typing error in a selection is an error, not an empty run."""
    result = run(project, "--deploycheck", "--deploycheck-select=RTS002")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines("*'RTS002' is no check ID*")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (
            "--deploycheck-baseline=nowhere.json",
            "--deploycheck-baseline nowhere.json: No such file or directory",
        ),
        ("--deploycheck-baseline=pyproject.toml", "--deploycheck-baseline pyproject.toml: no JSON"),
        ("--deploycheck-report=test_own.py", "--deploycheck-report test_own.py: "),
    ],
)
def test_a_wrong_file_is_told_before_anything_starts(
    project: pytest.Pytester, option: str, said: str
) -> None:
    """One line names the option and the file."""
    assert said in error_line(run(project, "--deploycheck", option))


def test_where_nothing_is_tried_an_earlier_report_stays(project: pytest.Pytester) -> None:
    """Listing the checks is no run."""
    project.mkdir("report").joinpath("report.json").write_text("earlier")
    assert run(project, "--deploycheck", "--collect-only", "-q", "--deploycheck-report=report").ret == 0
    assert (project.path / "report/report.json").read_text() == "earlier"


def test_selection_by_id_prefix_and_concept(project: pytest.Pytester) -> None:
    """IDs, prefixes and concepts may be mixed; own tests stay; pytest has nothing to warn of."""
    result = run(
        project, "--deploycheck", "--collect-only", "-q", "--deploycheck-select=rst002,MEM,replication"
    )
    ids = result.stdout.str()
    assert "test_own.py::test_own" in ids
    assert "deploycheck::restarts::check_killed_server_is_replaced" in ids
    assert "check_killed_worker_is_replaced" not in ids
    assert "deploycheck::memory::" in ids
    assert "deploycheck::replication::" in ids
    assert "deploycheck::https::" not in ids
    assert "warning" not in ids


def test_pytests_own_selection_works(project: pytest.Pytester) -> None:
    """-k and -m see checks like any test."""
    by_name = run(project, "--deploycheck", "--collect-only", "-q", "-k", "killed_worker").stdout.str()
    assert "deploycheck::restarts::check_killed_worker_is_replaced" in by_name
    assert "test_own" not in by_name
    by_mark = run(project, "--deploycheck", "--collect-only", "-q", "-m", "not deploycheck").stdout.str()
    assert "test_own" in by_mark
    assert "deploycheck::" not in by_mark


def test_program_that_is_no_server(project: pytest.Pytester) -> None:
    """A configuration in which nothing runs the app fails, and says what was found."""
    project.makefile(".conf", supervisord="[program:cron]\ncommand=/usr/sbin/cron -f\n")
    result = run(project, "--deploycheck", "--deploycheck-select=RST005")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines("*supervisord.conf: no *runs the app (gunicorn or uvicorn); found: cron*")


def test_broken_supervisor_file_names_the_line(project: pytest.Pytester) -> None:
    """A syntax error is told with file and line."""
    project.makefile(".conf", supervisord="[program:app]\ncommand=gunicorn app:app\nautorestart\n")
    result = run(project, "--deploycheck", "--deploycheck-select=RST005")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines("*supervisord.conf:3: *autorestart*")
