"""The scripts behind the Makefile: old Pythons, foreign folders, interruptions."""

import ast
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import demo
import environment
import pytest
import steps
import with_python

ROOT = Path(__file__).resolve().parents[2]
TOOLS = ROOT / "tools"


def test_an_old_python_understands_the_file_that_refuses_it() -> None:
    """The first file is valid for Python 3.7, so the user reads a message and not a SyntaxError."""
    ast.parse((TOOLS / "with_python.py").read_text(encoding="utf-8"), feature_version=(3, 7))


def test_an_old_python_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line names the version, what is needed and how to get it."""
    monkeypatch.setattr(with_python.sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(with_python.shutil, "which", lambda _: None)
    with pytest.raises(SystemExit) as stop:
        with_python.main()
    assert "is 3.9.2" in str(stop.value)
    assert "Python 3.11 or newer is needed" in str(stop.value)
    assert "\n" not in str(stop.value)


def test_an_old_python_finds_a_newer_one_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`python3` may be 3.9 where `python3.12` is installed too; one that does not start is passed over."""
    found = {"python3.13": "/nonexistent/python3.13", "python3.12": sys.executable}
    monkeypatch.setattr(with_python.sys, "version_info", (3, 9, 2))
    monkeypatch.setattr(with_python.shutil, "which", found.get)
    assert with_python.find_python() == sys.executable


def test_a_python_without_venv_is_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Debian ships them apart; the line names the package."""
    monkeypatch.setattr(environment, "has_module", lambda name: name == "venv")
    with pytest.raises(steps.StepError, match=r"apt install python3-venv") as refusal:
        environment.venv_options()
    assert "\n" not in str(refusal.value)


def test_a_cache_that_cannot_be_written_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """uv gives up and pip warns at a foreign cache, so a folder of the repository takes its place."""
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)
    monkeypatch.delenv("PIP_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "uv" / "archive").mkdir(parents=True)
    assert environment.cache_variables() == {}
    real_access = os.access
    foreign = tmp_path / "uv" / "archive"
    monkeypatch.setattr(
        environment.os, "access", lambda path, mode: path != foreign and real_access(path, mode)
    )
    assert environment.cache_variables() == {"UV_CACHE_DIR": str(ROOT / ".cache" / "uv-cache")}


def test_groups_are_flattened() -> None:
    """pip of Debian 12 cannot read dependency groups."""
    groups = {"dev": [{"include-group": "lint"}, "rich"], "lint": ["ruff", "rich"]}
    assert environment.requirements_of("dev", groups) == ["ruff", "rich"]


def test_the_demo_replaces_only_its_own_folder(tmp_path: Path) -> None:
    """A folder with something else in it is left as it is, and named."""
    mine, other = tmp_path / "mine", tmp_path / "other"
    demo.prepare(mine)
    (mine / "notes_api").mkdir()
    demo.prepare(mine)
    assert [entry.name for entry in mine.iterdir()] == [demo.MARKER]
    (other / "thesis").mkdir(parents=True)
    with pytest.raises(steps.StepError, match="was not made by `make demo`"):
        demo.prepare(other)
    assert (other / "thesis").exists()


def test_a_failing_step_shows_the_end_of_its_output(tmp_path: Path) -> None:
    """A quiet step that fails is not quiet."""
    with pytest.raises(steps.StepError, match=r"the reason\nerror: exit code 3"):
        steps.run_quietly(
            [sys.executable, "-c", "print('the reason'); raise SystemExit(3)"], log=tmp_path / "log.txt"
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_waits_for_the_clean_up_and_leaves_nothing(
    tmp_path: Path, number: signal.Signals
) -> None:
    """The child hears of it once and finishes its clean-up; what it started and forgot is ended."""
    child = tmp_path / "child.py"
    child.write_text(
        "import pathlib, subprocess, sys, time\n"
        "forgotten = subprocess.Popen([sys.executable, '-c', 'import signal, time;"
        " signal.signal(signal.SIGINT, signal.SIG_IGN); time.sleep(60)'])\n"
        "time.sleep(0.3)\n"
        "pathlib.Path('started').write_text(str(forgotten.pid))\n"
        "try:\n    time.sleep(60)\n"
        "except KeyboardInterrupt:\n    time.sleep(0.5)\n    pathlib.Path('cleaned').touch()\n",
        encoding="utf-8",
    )
    code = (
        f"import sys; sys.path.insert(0, {str(TOOLS)!r}); import steps;"
        f"sys.exit(steps.exit_code_of(lambda: steps.run([sys.executable, {str(child)!r}])))"
    )
    tool = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    deadline = time.monotonic() + 20
    while not (tmp_path / "started").exists() or not (tmp_path / "started").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    tool.send_signal(number)
    assert tool.wait(timeout=20) == 128 + number
    assert (tmp_path / "cleaned").exists()
    forgotten = Path("/proc") / (tmp_path / "started").read_text() / "stat"
    while forgotten.exists() and forgotten.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.05)
