"""What a command of the project finds in the sandbox."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

from pytest_deploycheck.reader import load
from pytest_deploycheck.sandbox.project_copy import copy_project
from pytest_deploycheck.sandbox.run import Run


def test_the_testers_umask_hides_nothing(baked: Callable[..., Path]) -> None:
    """What the project leaves open to everybody is open in the sandbox, also with a strict umask of the tester."""
    before = os.umask(0o077)
    run = Run(load(baked(app_server="gunicorn")))
    try:
        copy = run.copy()
        assert copy.call("sh -c umask").output.strip() == "0022"
        assert copy.root.stat().st_mode & 0o777 == 0o755
    finally:
        run.close()
        os.umask(before)


def test_what_is_started_heeds_signals_that_the_testers_shell_ignores(baked: Callable[..., Path]) -> None:
    """Behind ``nohup`` the run goes on when the terminal is closed, and the project's processes end as ever."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run = Run(load(baked(app_server="gunicorn")))
    try:
        assert run.copy().call("sh -c 'kill -HUP $$; echo goes on'").status == -signal.SIGHUP
        os.kill(os.getpid(), signal.SIGHUP)
    finally:
        run.close()
        signal.signal(signal.SIGHUP, before)


def test_sockets_of_other_programs_are_not_replaced(baked: Callable[..., Path]) -> None:
    """Each copy has a private folder for what Gunicorn otherwise puts into the user's home, also beside another one."""
    run = Run(load(baked(app_server="gunicorn")))
    try:
        ask = "-c 'from gunicorn.config import Config; print(Config().control_socket)'"
        sockets = [run.copy().call(f".venv/bin/python {ask}").output.strip() for _ in range(2)]
        assert sockets[0] != sockets[1]
        assert all(Path(socket).is_relative_to(run.folder) for socket in sockets)
    finally:
        run.close()


def test_links_are_not_followed_to_the_users_own_files(tmp_path: Path) -> None:
    """A virtual environment or an environment file may be a link to somewhere else."""
    project, elsewhere = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    (elsewhere / "venv").mkdir(parents=True)
    (elsewhere / "env").write_text("A=1")
    (project / ".venv").symlink_to(elsewhere / "venv")
    (project / ".env").symlink_to(elsewhere / "env")
    copy_project(project, tmp_path / "copy", also=[".env"])
    assert (tmp_path / "copy/.venv").resolve() == elsewhere / "venv"
    assert not (tmp_path / "copy/.env").is_symlink()
    assert (tmp_path / "copy/.env").read_text() == "A=1"
