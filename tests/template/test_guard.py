"""The guard of the generated project, with small processes in the place of its workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

LIMIT_MB = 200
WORKER = """
import os, signal, sys, time
from pathlib import Path

started = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()[19]
file = Path(os.environ["HEARTBEAT_DIR"], f"{os.getpid()}-{started}")
kept = [b"x" * int(sys.argv[1]) * 2**20]
signal.signal(signal.SIGUSR1, lambda *_: kept.append(b"x" * int(sys.argv[2]) * 2**20))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0) if sys.argv[3] == "obeys" else None)
while True:
    file.touch()
    time.sleep(0.1)
"""


class Guarded:
    """A folder with signs of life, the guard, and those whom it guards."""

    def __init__(self, folder: Path, project: Path) -> None:
        """Start nothing yet."""
        self.folder, self.project = folder, project
        self.processes: list[subprocess.Popen[bytes]] = []
        self.log = folder.with_suffix(".log")
        values = {"HEARTBEAT_DIR": str(folder), "WEB_CONCURRENCY": "2", "MEMORY_LIMIT_MB": str(LIMIT_MB)}
        self.environment = os.environ | values
        folder.mkdir()

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Start a Python process."""
        with self.log.open("ab") as log:
            process = subprocess.Popen([sys.executable, *command], env=self.environment, stdout=log)
        self.processes.append(process)
        return process

    def guard(self) -> subprocess.Popen[bytes]:
        """Start the guard."""
        return self.start(str(self.project / "deploy" / "guard.py"))

    def workers(
        self, count: int = 2, *, mb: int = 5, growth_mb: int = 0, does: str = "obeys"
    ) -> list[subprocess.Popen[bytes]]:
        """Start workers, and wait until each has given a sign of life."""
        workers = [self.start("-c", WORKER, str(mb), str(growth_mb), does) for _ in range(count)]
        wait(lambda: len(list(self.folder.iterdir())) >= count)
        return workers

    def measured(self) -> bool:
        """Tell whether the guard has measured each worker once."""
        return all(file.read_text() for file in self.folder.iterdir())

    def messages(self) -> list[str]:
        """Return what the guard said."""
        return [json.loads(line)["message"] for line in self.log.read_text().splitlines()]


def wait(until: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something."""
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def guarded(
    tmp_path: Path,
    baked: Callable[..., Path],
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Guarded]:
    """Make a place for workers of a project with some answers, and end them all afterwards."""
    (tmp_path / "var/run").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    found = Guarded(tmp_path / "workers", baked(**getattr(request, "param", {})))
    yield found
    for process in found.processes:
        process.kill()
        process.wait()


def test_who_leaks_is_asked_to_go_one_at_a_time(guarded: Guarded) -> None:
    """The second has to wait until there are two again."""
    first, second = guarded.workers(growth_mb=70)
    guarded.guard()
    wait(guarded.measured)
    first.send_signal(signal.SIGUSR1)
    second.send_signal(signal.SIGUSR1)
    wait(lambda: None in (first.poll(), second.poll()) and {first.poll(), second.poll()} == {0, None})
    time.sleep(1.5)
    left = second if first.poll() == 0 else first
    assert left.poll() is None
    guarded.workers(1)
    assert left.wait(20) == 0
    assert [message.split()[0] for message in guarded.messages()] == ["SIGTERM", "SIGTERM"]


def test_the_biggest_is_killed_at_the_limit(guarded: Guarded) -> None:
    """It was asked before, and did not go. The other one, which has done no harm, lives on."""
    big, small = guarded.workers(growth_mb=LIMIT_MB, does="not obey")
    guarded.guard()
    wait(guarded.measured)
    big.send_signal(signal.SIGUSR1)
    assert big.wait(20) == -signal.SIGKILL
    assert small.poll() is None
    assert f"the limit is {LIMIT_MB}" in guarded.messages()[-1]


def test_who_was_big_from_the_beginning_is_left_alone(guarded: Guarded) -> None:
    """Killing it would help nobody: a limit that is too low must not become a loop of restarts."""
    workers = guarded.workers(mb=LIMIT_MB)
    guarded.guard()
    wait(guarded.measured)
    time.sleep(1.5)
    assert [worker.poll() for worker in workers] == [None, None]
    assert guarded.messages() == []


def test_what_workers_share_counts_once(guarded: Guarded) -> None:
    """Each of them alone would be too big, and both together beyond the limit."""
    shared = f"import os; shared = b'x' * {LIMIT_MB * 9 // 10} * 2**20; os.fork()"
    guarded.start("-c", shared + WORKER, "1", "30", "obeys")
    wait(lambda: len(list(guarded.folder.iterdir())) == 2)
    pids = [int(file.name.split("-")[0]) for file in guarded.folder.iterdir()]
    guarded.guard()
    try:
        wait(guarded.measured)
        os.kill(max(pids), signal.SIGUSR1)
        time.sleep(1.5)
        assert guarded.messages() == []
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGKILL)


def test_the_next_guard_knows_what_this_one_knew(guarded: Guarded) -> None:
    """A worker that has grown while nobody looked was not born so big."""
    big, _ = guarded.workers(growth_mb=LIMIT_MB, does="not obey")
    guard = guarded.guard()
    wait(guarded.measured)
    guard.kill()
    big.send_signal(signal.SIGUSR1)
    time.sleep(0.3)
    guarded.guard()
    assert big.wait(20) == -signal.SIGKILL


def test_a_file_that_is_left_over_harms_nobody(guarded: Guarded) -> None:
    """Its number may belong to a process by now that has nothing to do with the app."""
    file = guarded.folder / f"{os.getpid()}-1"
    file.touch()
    guarded.guard()
    wait(lambda: not file.exists())
    assert guarded.messages() == []


def test_who_hangs_is_killed(guarded: Guarded) -> None:
    """A stopped process gives no sign of life."""
    stopped, other = guarded.workers()
    guarded.guard()
    stopped.send_signal(signal.SIGSTOP)
    assert stopped.wait(30) == -signal.SIGKILL
    assert other.poll() is None
    assert "has not moved" in guarded.messages()[-1]


def test_after_a_standstill_of_the_machine_all_live(guarded: Guarded) -> None:
    """Neither the guard nor a worker moved for longer than a worker may hang, and the guard moves first."""
    workers = guarded.workers()
    guard = guarded.guard()
    wait(guarded.measured)
    for process in workers:
        process.send_signal(signal.SIGSTOP)
    time.sleep(1)  # the guard has seen the last sign of life
    guard.send_signal(signal.SIGSTOP)
    time.sleep(10)
    guard.send_signal(signal.SIGCONT)
    time.sleep(1)
    for process in workers:
        process.send_signal(signal.SIGCONT)
    assert [process.poll() for process in (guard, *workers)] == [None] * 3
    assert guarded.messages() == []


@pytest.mark.parametrize("guarded", [{"process_manager": "swarm"}], indirect=True)
def test_it_is_nobody_s_turn_while_a_task_is_not_back(guarded: Guarded) -> None:
    """A task that has ended has no worker, and has lost its lock: a worker of another one has to wait (MEM004)."""
    guarded.environment["REPLICAS"] = "2"
    with socket.socket(socket.AF_UNIX) as own, socket.socket(socket.AF_UNIX) as other:
        own.bind("var/run/1.sock")
        own.listen()
        other.bind("var/run/2.sock")
        leaking, _ = guarded.workers(growth_mb=70)
        guarded.guard()
        wait(guarded.measured)
        leaking.send_signal(signal.SIGUSR1)
        time.sleep(3)
        assert guarded.messages() == []
        other.listen()
        assert leaking.wait(20) == 0
