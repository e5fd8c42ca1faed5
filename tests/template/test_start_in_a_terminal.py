"""``deploy/start`` of the generated project where somebody types it, with a Supervisor that has nothing to do."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path

import psutil
from conftest import Bake

from pytest_deploycheck.probes.wait import wait_for

DEADLINE_S = 30
CTRL_C = b"\x03"
OPEN_AND_RUN = 'exec <"$0" >"$0" 2>&1; "$@"'
CONF = """
[supervisord]
nodaemon=true
logfile=%(here)s/../var/log/supervisord.log
pidfile=%(here)s/../var/run/supervisord.pid
"""


@contextmanager
def started(baked: Path) -> Iterator[tuple[FileIO, subprocess.Popen[bytes], psutil.Process]]:
    """Start a project in a terminal; give the terminal, its shell and Supervisor."""
    master, slave = pty.openpty()
    with (
        FileIO(master, "r+") as terminal,
        FileIO(slave) as other_end,
        tempfile.TemporaryDirectory(prefix="dc-", dir="/tmp") as short,  # as paths of sockets have to be
    ):
        project = Path(short, "project")
        shutil.copytree(baked, project)
        (project / "deploy/previous-steps").write_text("#!/bin/sh\n", encoding="utf-8")
        (project / "deploy/supervisord.conf").write_text(CONF, encoding="utf-8")
        shell = subprocess.Popen(
            ["/bin/sh", "-c", OPEN_AND_RUN, os.ttyname(other_end.fileno()), "deploy/start"],
            cwd=project,
            env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            start_new_session=True,
            preexec_fn=_heed_ctrl_c,  # noqa: PLW1509  (there is no other thread)
        )
        supervisor = None
        try:
            note = project / "var/run/supervisord.pid"
            pid = wait_for(
                lambda: note.is_file() and note.read_text(encoding="utf-8").strip(),
                bool,
                deadline_s=DEADLINE_S,
            )
            assert pid, terminal.read(65536)
            supervisor = psutil.Process(int(pid))
            yield terminal, shell, supervisor
        finally:
            for process in filter(None, (shell, supervisor)):
                with suppress(ProcessLookupError, psutil.Error):
                    process.send_signal(signal.SIGKILL)
            shell.wait()


def _heed_ctrl_c() -> None:
    """Undo what a test run in the background inherits: a shell cannot trap a signal that was ignored before."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def _runs(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_ctrl_c_stops_it(bake: Bake) -> None:
    """Supervisor is in another session, and ends nevertheless, before the prompt comes back."""
    with started(bake()) as (terminal, shell, supervisor):
        assert os.getsid(supervisor.pid) != os.getsid(shell.pid)
        terminal.write(CTRL_C)
        shell.wait(timeout=DEADLINE_S)
        assert not _runs(supervisor)


def test_a_closed_terminal_does_not_reach_it(bake: Bake) -> None:
    """The shell in the terminal is ended, and Supervisor has heard of nothing (BOOT005)."""
    with started(bake()) as (terminal, shell, supervisor):
        terminal.close()
        assert shell.wait(timeout=DEADLINE_S) == -signal.SIGHUP
        supervisor.send_signal(signal.SIGUSR2)  # it writes a line about that
        log = Path(supervisor.cwd(), "var/log/supervisord.log")
        assert wait_for(lambda: "SIGUSR2" in log.read_text(encoding="utf-8"), bool, deadline_s=DEADLINE_S)
        assert "SIGHUP" not in log.read_text(encoding="utf-8")
        assert _runs(supervisor)
