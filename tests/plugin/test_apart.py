"""Checks in a process of their own, beside own tests: pytest-xdist's ``-n``."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from harness import run_deploycheck
from runs import processes_of, pytest_with, start

pytestmark = pytest.mark.slow

PATIENCE_S = 30
OWN_TESTS = """
import os, time
import pytest

@pytest.mark.parametrize("n", range(4))
def test_own(n):
    print("said by a", "test")
    with open(os.environ["SEEN"], "a") as file:
        file.write(f"{os.getpid()} {os.getppid()}\\n")
"""
# An own test that ends when a check has: `RST005`, which has no experiment, starts the stack that it looks at.
WAITING_TEST = """
import os, time
from pathlib import Path

def test_waits_for_the_stack_of_a_check():
    deadline = time.monotonic() + 30
    while b"DEPLOYCHECK_EVENTS=" not in b"".join(map(environment, Path("/proc").glob("[0-9]*"))):
        assert time.monotonic() < deadline, "no stack is started before own tests are done"
        time.sleep(0.05)

def environment(process):
    try:
        return (process / "environ").read_bytes()
    except OSError:
        return b""
"""
OWN_CHECK = '''
import warnings
from pytest_deploycheck.api import Concept, check

@check("SHOP001", "it sells", concept=Concept.HTTPS, expect="money", fix="sell")
def check_it_sells():
    """Buy something."""
    print("said by a", "check")
    warnings.warn("nobody buys", UserWarning)
    assert not "sold", "nothing was sold"
'''


@pytest.fixture
def own_tests(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of quick own tests, which write down the processes that they run in."""
    monkeypatch.setenv("SEEN", str(tmp_path / "seen"))
    file = project / "tests/test_own.py"
    file.write_text(OWN_TESTS)
    return file


@pytest.fixture
def bad_check(project: Path) -> None:
    """A check of the project's own that fails."""
    (project / "deploychecks").mkdir()
    (project / "deploychecks/shop.py").write_text(OWN_CHECK)


@pytest.mark.parametrize("processes", [2, 3])
def test_reports_are_whole(project: Path, own_tests: Path, tmp_path: Path, processes: int) -> None:
    """One process makes all checks, the others the own tests; reports and JUnit hold each."""
    done = pytest_with(
        project,
        *(f"-n{processes}", "-v", "--deploycheck", "--deploycheck-select=RST001,RST005", str(own_tests)),
        *(f"--deploycheck-report={tmp_path}", f"--junit-xml={tmp_path / 'junit.xml'}"),
    )
    assert done.returncode == 0, done.stdout
    assert len(re.findall(r"^deploycheck::\S+ PASSED ", done.stdout, re.MULTILINE)) == 2
    pids = {line.split()[0] for line in (tmp_path / "seen").read_text().splitlines()}
    assert len(pids) == processes - 1, done.stdout
    assert ("2 workers" in done.stdout) == (processes == 3)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["schema"] == 1
    assert report["stack"] == {
        "manager": "supervisor",
        "proxy": "caddy",
        "server": "gunicorn",
        "database": "sqlite",
    }
    assert {item["id"]: (item["status"], item["evidence"]) for item in report["checks"]} == {
        "RST001": ("passed", "observed"),
        "RST005": ("passed", "observed"),
    }
    charts = [chart["kind"] for item in report["checks"] for chart in item["charts"]]
    assert charts == ["requests"]  # of RST001
    timings = report["timings"]
    assert 0 < timings["cold_start_s"] < timings["wall_s"]
    assert timings["experiments"]["kill_worker"] == timings["lanes"]["late"]
    # Two stacks of three app processes each, of which each imports the app.
    assert 2 < timings["cpu_s"] < timings["cores"] * timings["wall_s"]
    assert len(ET.parse(tmp_path / "junit.xml").findall(".//testcase")) == 6


@pytest.mark.parametrize("processes", [2, 3])
def test_checks_do_not_wait_for_own_tests(project: Path, processes: int) -> None:
    """A check is made while an own test runs."""
    (project / "tests/test_own.py").write_text(WAITING_TEST)
    done = pytest_with(
        project, f"-n{processes}", "--deploycheck", "--deploycheck-select=RST005", "tests/test_own.py"
    )
    assert done.returncode == 0, done.stdout


def test_a_dist_of_the_users_own_is_left_alone(project: Path, own_tests: Path) -> None:
    """Own tests are shared out as the user says."""
    arguments = ("-n3", "-v", "--deploycheck", "--deploycheck-select=RST005", str(own_tests))
    assert "LoadScheduling" in pytest_with(project, *arguments).stdout
    assert "LoadFileScheduling" in pytest_with(project, *arguments, "--dist=loadfile").stdout


@pytest.mark.parametrize(
    "arguments", [[], ["-n1", "--deploycheck"], ["-n3"], ["-n2", "--deploycheck", "--pdb"]]
)
def test_one_process_where_another_would_not_help(
    project: Path, own_tests: Path, arguments: list[str]
) -> None:
    """There is one process, or checks alone are asked for by their node ids."""
    check = "deploycheck::restarts::check_error_costs_one_request"
    named = [str(own_tests), "--deploycheck-select=RST005"] if "--deploycheck" in arguments else [check]
    done = pytest_with(project, *arguments, *named)
    if "--pdb" in arguments:
        assert "--pdb is incompatible" in done.stderr
        return
    assert done.returncode == 0, done.stdout
    assert ("5 passed" if "--deploycheck" in arguments else "1 passed") in done.stdout
    assert "process of their own" not in done.stdout
    assert "workers" not in done.stdout


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.usefixtures("bad_check")
def test_what_each_said_is_told_apart(project: Path, own_tests: Path, processes: int) -> None:
    """Output of a failed check is its own, though an own test runs at the same time; its warning is told, too."""
    own_tests.write_text(OWN_TESTS + "    time.sleep(0.2)\n    assert n != 3\n")
    arguments = ("-rA", "-Wdefault", "--deploycheck", "--deploycheck-select=SHOP", str(own_tests))
    done = pytest_with(project, f"-n{processes}", *arguments)
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert done.stdout.count("said by a check") == 1
    assert done.stdout.count("said by a test") == 4
    assert "nothing was sold" in done.stdout
    assert "UserWarning: nobody buys" in done.stdout
    assert "2 failed, 3 passed" in done.stdout


def test_production_heeds_all_signals(project: Path, own_tests: Path, tmp_path: Path) -> None:
    """What the process with the checks holds back around its fork is not held back from what it starts."""
    start_command, seen = project / "deploy/start", tmp_path / "masks"
    start_command.rename(project / "deploy/start-it")  # a shell, which would hold nothing back
    start_command.write_text(
        f"#!{sys.executable}\n"
        "import os, signal\n"
        f"with open({str(seen)!r}, 'a') as file:\n"
        "    print(signal.pthread_sigmask(signal.SIG_BLOCK, []), file=file)\n"
        "script = os.path.abspath(__file__) + '-it'\n"
        "os.execv(script, [script])\n"
    )
    start_command.chmod(0o755)
    done = pytest_with(project, "-n2", "--deploycheck", "--deploycheck-select=RST001", str(own_tests))
    assert done.returncode == 0, done.stdout
    assert set(seen.read_text().splitlines()) == {"set()"}


@pytest.mark.usefixtures("bad_check")
def test_first_failure_of_a_check_ends_all(project: Path, short_tmp: Path) -> None:
    """With -x own tests do not go on when a check has failed, and nothing is left."""
    (project / "tests/test_own.py").write_text(
        OWN_TESTS.replace("range(4)", "range(1000)") + "    time.sleep(0.2)\n"
    )
    run = start(project, short_tmp, "-x", "-n2", "--deploycheck-select=SHOP,RST001", "tests/test_own.py")
    output, _ = run.communicate(timeout=PATIENCE_S)
    assert "stopping after 1 failures" in output
    assert run.returncode == pytest.ExitCode.TESTS_FAILED
    assert not list(short_tmp.iterdir()), output


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("--deploycheck-select=NO", "'NO' is no check ID"),
        ("tests/no.py", "file or directory not found: tests/no.py"),
        ("deploycheck::https::check_no", "not found: "),
    ],
)
def test_wrong_arguments_are_told_once(
    project: Path, own_tests: Path, processes: int, wrong: str, said: str
) -> None:
    """What pytest refuses in the process with the checks is an error of the run."""
    done = pytest_with(project, f"-n{processes}", "--deploycheck", str(own_tests), wrong)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count(said) == 1
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("processes", [2, 3])
def test_a_killed_process_is_no_pass(project: Path, own_tests: Path, short_tmp: Path, processes: int) -> None:
    """Where the process with the checks dies, the run says so and is not green; nothing is left."""
    run = start(project, short_tmp, f"-n{processes}", "--deploycheck-select=RST001", str(own_tests))
    deadline = time.monotonic() + PATIENCE_S
    while not (stack := processes_of(short_tmp)) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(the_process_with_the_checks(run.pid), signal.SIGKILL)
    output, _ = run.communicate(timeout=PATIENCE_S)
    assert stack, output
    assert "the process with the checks is gone, with exit status -9" in output
    assert run.returncode == pytest.ExitCode.INTERNAL_ERROR
    while list(short_tmp.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not list(short_tmp.iterdir())
    assert not processes_of(short_tmp)


def the_process_with_the_checks(pid: int) -> int:
    """Return the child that is a fork: it has the command line of its parent."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    (found,) = (child for child in children if Path(f"/proc/{child}/cmdline").read_bytes() == command)
    return int(found)


@pytest.mark.usefixtures("bad_check")
def test_last_failed_looks_at_checks_and_own_tests(project: Path, own_tests: Path) -> None:
    """--lf runs what has failed of both again, with -n or without."""
    own_tests.write_text(OWN_TESTS + "    assert n != 3\n")
    arguments = ("--deploycheck", "--deploycheck-select=SHOP,RST005", str(own_tests))
    assert "2 failed, 4 passed" in pytest_with(project, "-n2", *arguments, remembers=True).stdout
    for more in ((), ("-n3",)):
        again = pytest_with(project, "--lf", *more, *arguments, remembers=True)
        assert "2 failed" in again.stdout
        assert "passed" not in again.stdout.splitlines()[-1]


def test_interrupt_of_the_checks_alone_ends_the_run(project: Path, short_tmp: Path) -> None:
    """Whoever sends SIGINT to that process only has interrupted the run."""
    (project / "tests/test_own.py").write_text(WAITING_TEST)
    run = start(project, short_tmp, "-n2", "--deploycheck-select=RST001", "tests/test_own.py")
    deadline = time.monotonic() + PATIENCE_S
    while not processes_of(short_tmp) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(the_process_with_the_checks(run.pid), signal.SIGINT)
    output, _ = run.communicate(timeout=PATIENCE_S)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, output
    assert not list(short_tmp.iterdir())


def test_quick_checks_of_one_process_are_as_ever(project: Path) -> None:
    """Without -n nothing is forked."""
    verdict = run_deploycheck(project, "--deploycheck-select=RST005")
    assert verdict.exit_status == 0, verdict.output
    assert "process of their own" not in verdict.output
