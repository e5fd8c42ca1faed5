"""What stands for a platform in the sandbox: it runs the release job, the edge, and a container again and again.

A process of its own, on the standard library only. Its order is a JSON file; it writes what it does into another one,
and takes signals: USR1 stops the container, USR2 starts it again, TERM ends all.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
EVERY_S = 0.02
# Orphans below become children of this process: prctl(2).
PR_SET_CHILD_SUBREAPER = 36
asked: list[int] = []


class Platform:
    """The platform."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.container: subprocess.Popen[bytes] | None = None
        self.edge = subprocess.Popen(order["edge"], cwd=order["folder"], stdin=subprocess.DEVNULL)
        self.wanted = True
        self.began = 0.0
        self.next_start = 0.0
        self.pause_s = FIRST_PAUSE_S
        self.is_listening = False

    def say(self, state: str, **more: object) -> None:
        """Write down what is."""
        container = self.container.pid if self.container else None
        edge = self.edge.pid
        file = Path(self.order["state"])
        new = file.with_suffix(".new")
        new.write_text(json.dumps({"state": state, "container": container, "edge": edge, **more}))
        new.replace(file)

    def run(self, words: list[str]) -> subprocess.Popen[bytes]:
        """Start a container on an empty TMPDIR, under the limit of memory."""
        temporary = Path(self.order["temporary"])
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(mode=0o700)
        group = self.order["memory_group"]

        def join() -> None:
            if group:
                Path(group, "cgroup.procs").write_text("0")

        return subprocess.Popen(
            words,
            cwd=self.order["folder"],
            preexec_fn=join,  # noqa: PLW1509  (there are no threads here)
            stdin=subprocess.DEVNULL,
        )

    def release(self) -> None:
        """Run the previous steps; nothing is released where they fail."""
        if not self.order["steps"]:
            return
        self.container = self.run(self.order["steps"])
        self.say("RELEASING")
        while (status := self.container.poll()) is None:
            if signal.SIGTERM in asked:
                kill(self.container.pid)
            time.sleep(EVERY_S)
        self.clean_up()
        if status:
            print(f"platform: the previous steps ended with status {status}: nothing is released", flush=True)
            self.edge.kill()
            self.say("FAILED", status=status)
            sys.exit(1)

    def look(self) -> None:
        """Look after the container, once."""
        now = time.monotonic()
        if self.container is None:
            if self.wanted and now >= self.next_start:
                self.container, self.began, self.is_listening = self.run(self.order["container"]), now, False
                self.say("STARTING")
            return
        status = self.container.poll()
        if status is None:
            if not self.is_listening and listens(self.order["port"]):
                self.is_listening, self.pause_s = True, FIRST_PAUSE_S
                self.say("RUNNING")
            elif not self.is_listening and now > self.began + self.order["start_s"]:
                late = f"after {self.order['start_s']} s"
                print(f"platform: nobody listens at port {self.order['port']} {late}", flush=True)
                kill(self.container.pid)
            return
        self.clean_up()
        print(f"platform: the container ended with status {status}", flush=True)
        self.next_start = now + self.pause_s
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)
        self.say("BACKOFF" if self.wanted else "STOPPED", status=status)

    def stop(self) -> None:
        """SIGTERM, and SIGKILL after the grace."""
        self.wanted = False
        if self.container is None:
            self.say("STOPPED")
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(first_of(self.container.pid) or self.container.pid, signal.SIGTERM)
        deadline = time.monotonic() + self.order["stop_grace_s"]
        while self.container.poll() is None and time.monotonic() < deadline:
            time.sleep(EVERY_S)
        if self.container.poll() is None:
            print("platform: SIGKILL to what did not stop in time", flush=True)
            kill(self.container.pid)
        self.container.wait()
        self.clean_up()
        self.say("STOPPED")

    def clean_up(self) -> None:
        """End what a container has left: where it has a PID namespace, the kernel has done it."""
        self.container = None
        while left := set(children_of(os.getpid())) - {self.edge.pid}:
            for pid in left:
                kill(pid)
                os.waitpid(pid, 0)

    def main(self) -> None:
        """Do all of it, until SIGTERM."""
        self.release()
        while True:
            while asked:
                number = asked.pop(0)
                if number == signal.SIGUSR2:
                    self.wanted, self.next_start = True, 0.0
                else:
                    self.stop()
                if number == signal.SIGTERM:
                    self.edge.terminate()
                    self.edge.wait()
                    return
            if self.edge.poll() is not None:
                print(f"platform: the edge ended with status {self.edge.returncode}", flush=True)
                sys.exit(1)
            self.look()
            time.sleep(EVERY_S)


def first_of(pid: int) -> int | None:
    """Return the first process of a container, which gets the signals: behind ``unshare`` it is the only child.

    None where ``unshare`` has not made it yet.
    """
    try:
        program = Path(f"/proc/{pid}/cmdline").read_bytes().partition(b"\0")[0]
    except OSError:
        return pid
    return next(iter(children_of(pid)), None) if program.endswith(b"unshare") else pid


def children_of(pid: int) -> list[int]:
    """Return the children of a process; none where it is gone."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def kill(pid: int) -> None:
    """SIGKILL to a container, all of it: without a PID namespace its processes are those below its first one."""
    victims = [pid]
    for victim in victims:
        victims += children_of(victim)
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)


def listens(port: int) -> bool:
    """Tell whether somebody takes connections."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    for name in ("SIGUSR1", "SIGUSR2", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda number, _: asked.append(number))
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    Platform(json.loads(Path(sys.argv[1]).read_text())).main()
