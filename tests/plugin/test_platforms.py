"""On a system that cannot run the checks the tool says so at once: one line, no traceback, and own tests run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

# Modules of the standard library that are missing on Windows; on macOS all of them are there.
ONLY_ON_UNIX = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")
PROJECT = {
    "pyproject.toml": '[project]\nname = "x"\nversion = "1"\n[tool.deploycheck]\ndomain = "example.com"\n',
    "supervisord.conf": "[supervisord]\n",
    "test_own.py": "def test_own():\n    pass\n",
}
# What this Python itself and libraries need is imported before: Debian's has no ctypes.macholib, for instance.
DISGUISE = """
import asyncio, ctypes.util, subprocess, sys, sysconfig, urllib.request
import psutil, pytest
import pytest_deploycheck.commands
sysconfig.get_config_vars()

class Disguise:
    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self, config):
        put_on()

def put_on():
    sys.platform = {platform!r}
    sys.modules.update(dict.fromkeys({missing!r}))

"""
PYTEST = DISGUISE + "sys.exit(pytest.main({arguments!r}, plugins=[Disguise()]))"
COMMAND = DISGUISE + "put_on(); sys.exit(pytest_deploycheck.commands.main({arguments!r}))"
SYSTEMS = {"win32": ("Windows", ONLY_ON_UNIX), "darwin": ("macOS", ()), "freebsd14": ("freebsd14", ())}


def run(code: str, system: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pytest or the command as if on another system: in this project, or in a small one that is written first."""
    if not (folder / "pyproject.toml").exists():
        for name, text in PROJECT.items():
            (folder / name).write_text(text, encoding="utf-8")
    _, missing = SYSTEMS[system]
    filled = code.format(platform=system, missing=missing, arguments=list(arguments))
    command = [sys.executable, "-c", filled]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_checks_are_refused_in_one_line(system: str, tmp_path: Path) -> None:
    """The line names this system, what is needed, and a page that tells more."""
    done = run(PYTEST, system, tmp_path, "-p", "no:cacheprovider", "--deploycheck")
    (line,) = [line for line in done.stderr.splitlines() if line]
    assert line.startswith(f"ERROR: --deploycheck needs Linux, and this is {SYSTEMS[system][0]}: ")
    assert "/platforms/" in line
    assert done.returncode == pytest.ExitCode.USAGE_ERROR


@pytest.mark.skipif(
    not shutil.which("kubectl"), reason="install kubectl: https://kubernetes.io/docs/tasks/tools"
)
def test_manifests_are_read_on_macos(baked: Callable[..., Path], tmp_path: Path) -> None:
    """What is only declared can be read there; what has to run is not verified, and says why."""
    project = baked(process_manager="kubernetes", database="postgresql")
    report = f"--deploycheck-report={tmp_path}"
    early = (
        "-Wignore::pytest.PytestAssertRewriteWarning"  # the disguise needs a module of the plugin's before
    )
    run(PYTEST, "darwin", project, "-p", "no:cacheprovider", early, "--deploycheck", report, "pyproject.toml")
    checks = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))["checks"]
    passed = [check for check in checks if check["status"] == "passed"]
    assert len(passed) > 20
    assert {check["evidence"] for check in passed} == {"declared"}
    assert {check["status"] for check in checks} == {"passed", "not_verified", "not_applicable"}


def test_own_tests_run_without_the_flag(tmp_path: Path) -> None:
    """The plugin is no reason to have another development environment there."""
    done = run(PYTEST, "win32", tmp_path, "-p", "no:cacheprovider", "-q")
    assert "1 passed" in done.stdout
    assert done.returncode == 0


def test_labs_are_refused_in_one_line(tmp_path: Path) -> None:
    """They run the checks."""
    done = run(COMMAND, "win32", tmp_path, "lab", "list")
    (line,) = done.stderr.splitlines()
    assert line.startswith("deploycheck: deploycheck lab needs Linux, and this is Windows: ")
    assert done.returncode == 2


def test_the_doctor_names_the_system_as_missing(tmp_path: Path) -> None:
    """It works everywhere, for it is who tells."""
    done = run(COMMAND, "win32", tmp_path, "doctor")
    assert any(line.split()[:2] == ["missing", "Linux"] for line in done.stdout.splitlines()), done.stderr
    assert done.returncode == 1
