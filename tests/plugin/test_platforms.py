"""On a system that cannot run the checks the tool says so at once: one line, no traceback, and own tests run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

# Modules of the standard library that are missing on Windows; on macOS all of them are there.
ONLY_ON_UNIX = ("fcntl", "grp", "pty", "pwd", "resource", "termios", "tty")
PROJECT = {
    "pyproject.toml": '[project]\nname = "x"\nversion = "1"\n[tool.deploycheck]\ndomain = "example.com"\n',
    "supervisord.conf": "[supervisord]\n",
    "test_own.py": "def test_own():\n    pass\n",
}
# What this Python itself and libraries need is imported before.
DISGUISE = """
import asyncio, subprocess, sys, sysconfig
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
    """Run pytest or the command in a small project as if on another system."""
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
