"""Looks after the workers: replaces one that hangs, recycles one that leaks, ends one before memory runs out.

It only sends signals; whoever started a worker starts the next one. Each worker has a file in HEARTBEAT_DIR, named by
its pid and the time of its start, and touches it every second from its event loop.
"""

{% if cookiecutter.process_manager == "swarm" -%}
import fcntl
{% endif -%}
import json
import os
import re
import signal
{%- if cookiecutter.process_manager in ("swarm", "systemd") %}
import socket
{%- endif %}
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

HEARTBEATS = Path(os.environ["HEARTBEAT_DIR"])
COUNT = int(os.environ["WEB_CONCURRENCY"])
LIMIT_MB = int(os.environ["MEMORY_LIMIT_MB"])
{%- if cookiecutter.process_manager == "swarm" %}
# Whose guard has the lock may ask one of its workers to go: one of all tasks at a time (MEM004).
TURN = os.open("var/run/turn", os.O_CREAT, 0o600)
# One place of each task, where the proxy finds it (deploy/health.py).
PLACES = [f"var/run/{slot}.sock" for slot in range(1, int(os.environ["REPLICAS"]) + 1)]
{%- endif %}
# What reading of a process says that has ended: before the file is open, or after.
GONE = (FileNotFoundError, ProcessLookupError)

# If the guard itself could not look for so long, all stood still: a virtual machine that is moved, a paused container.
STANDSTILL_S = 5
# A worker whose event loop has not moved for so long is killed (RST004).
HANG_S = 10
# A worker that holds more than its share is asked to finish its requests and go (MEM003).
SHARE_MB = 0.7 * LIMIT_MB / COUNT
# But not one that is hardly larger than when it was new: its successor would be no smaller (MEM001).
GROWN = 1.5


def memory_mb(pid: int, *, quickly: bool = False) -> float:
    """Measure a process; 0 if it is gone. What it shares with others counts in part (PSS), or all of it ``quickly``.

    For PSS the kernel goes through all pages, which takes a hundred times as long, and the process may have to wait.
    """
    file, names = ("status", "VmRSS|VmSwap") if quickly else ("smaps_rollup", "Pss|SwapPss")
    try:
        text = Path(f"/proc/{pid}/{file}").read_text()
    except OSError:
        return 0
    return sum(map(int, re.findall(rf"^(?:{names}):\s+(\d+)", text, re.MULTILINE))) / 1024


class Worker:
    """One worker, as it was seen last."""

    def __init__(self, file: Path) -> None:
        """Know it by its file."""
        self.file = file
        self.pid, self.started = file.name.split("-")
        self.parent = 0
        self.beat, self.beat_seen = 0.0, 0.0
        self.size_mb, self.new_mb = 0.0, 0.0
        self.asked_to_go = False

    def look(self) -> bool:
        """Take its pulse and measure it; say whether it lives."""
        try:
            stat = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
            beat = self.file.stat().st_mtime
            self.new_mb = self.new_mb or float(self.file.read_text() or 0)
        except GONE:
            return False
        self.parent = int(stat[1])
        if not self.new_mb:
            self.new_mb = self.size_mb = memory_mb(int(self.pid))
            with suppress(OSError):  # the disk may be full
                self.file.write_text(f"{self.new_mb:.1f}")  # for the guard after this one
        if beat != self.beat:
            self.beat, self.beat_seen = beat, time.monotonic()  # no matter if somebody sets the clock of the files
        return stat[19] == self.started and stat[0] != "Z"

    def send(self, number: signal.Signals, why: str) -> None:
        """Send a signal, and say so (MEM006)."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        message = f"{number.name} to worker {self.pid}, which holds {self.size_mb:.0f} MiB: {why}"
        sys.stdout.write(json.dumps({"time": now, "level": "warning", "logger": "guard", "message": message}) + "\n")
        sys.stdout.flush()
        with suppress(ProcessLookupError):
            os.kill(int(self.pid), number)


{% if cookiecutter.process_manager == "swarm" -%}
def is_turn_of_this_task() -> bool:
    """Take the lock, which is free when the worker that went last has its successor, or when its task has ended.

    So it is nobody's turn while a task is not back: nobody listens at its place.
    """
    with suppress(OSError):
        fcntl.flock(TURN, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for place in PLACES:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(1)
                connection.connect(place)
        return True
    return False


{% endif -%}
def act(workers: list[Worker], wanted: int) -> int:
    """Do what is needed, to one of them; return how many must be there before the next may be asked to go (MEM004)."""
    for worker in workers:
        if time.monotonic() - worker.beat_seen > HANG_S:
            worker.send(signal.SIGKILL, f"its event loop has not moved for {HANG_S} s")
            return wanted
    parents = {worker.parent for worker in workers} - {os.getppid()}  # the server's, not {{ {"supervisor": "Supervisor", "systemd": "systemd"}.get(cookiecutter.process_manager, "this one's") }}
    all_are_there = len(workers) >= wanted and not any(worker.asked_to_go for worker in workers)
{%- if cookiecutter.process_manager == "swarm" %}
    if all_are_there:
        fcntl.flock(TURN, fcntl.LOCK_UN)
{%- endif %}
    for quickly in True, False:
        for worker in workers:
            worker.size_mb = memory_mb(int(worker.pid), quickly=quickly)
        total = sum(worker.size_mb for worker in workers) + sum(memory_mb(pid, quickly=quickly) for pid in parents)
        biggest = max(workers, key=lambda worker: worker.size_mb)
        if biggest.size_mb < GROWN * biggest.new_mb or (total <= LIMIT_MB and biggest.size_mb <= SHARE_MB):
            return wanted
    if total > LIMIT_MB:
        # There is a limit, and it bites (MEM002).
        biggest.send(signal.SIGKILL, f"all together hold {total:.0f} MiB, the limit is {LIMIT_MB}")
    elif biggest.size_mb > SHARE_MB and all_are_there{% if cookiecutter.process_manager == "swarm" %} and is_turn_of_this_task(){% endif %}:
        biggest.asked_to_go = True
        biggest.send(signal.SIGTERM, f"its share of the limit of {LIMIT_MB} is {SHARE_MB:.0f}")
        return min(COUNT, len(workers))
    return wanted


{% if cookiecutter.process_manager == "systemd" -%}
def give_sign_of_life() -> None:
    """Tell systemd that the guard is up and lives; see sd_notify(3)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
        connection.sendto(b"READY=1\nWATCHDOG=1", os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))


{% endif -%}
def main() -> None:
    """Look and act, for ever."""
    known: dict[Path, Worker] = {}
    wanted, looked = 0, time.monotonic()
    while True:
        known = {file: known.get(file) or Worker(file) for file in HEARTBEATS.iterdir()}
        for file, worker in list(known.items()):
            if not worker.look():
                known.pop(file).file.unlink(missing_ok=True)
        if time.monotonic() - looked > STANDSTILL_S:
            for worker in known.values():
                worker.beat_seen = time.monotonic()
        looked = time.monotonic()
        if known:
            wanted = act(list(known.values()), wanted)
{%- if cookiecutter.process_manager == "systemd" %}
        give_sign_of_life()
{%- endif %}
        time.sleep(0.5)


main()
