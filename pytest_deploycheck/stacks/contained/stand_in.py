"""What stands for a platform, or for kubelet, in the sandbox: it runs the edge, and a container again and again.

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

from pytest_deploycheck.stacks.contained.probe import Probe

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
EVERY_S = 0.02
# Orphans below become children of this process: prctl(2).
PR_SET_CHILD_SUBREAPER = 36
asked: list[int] = []


class StandIn:
    """The platform, or kubelet."""

    def __init__(self, order: dict[str, Any]) -> None:
        self.order = order
        self.container: subprocess.Popen[bytes] | None = None
        self.edge = subprocess.Popen(order["edge"], cwd=order["folder"], stdin=subprocess.DEVNULL)
        self.probes: dict[str, Probe] = {}
        self.state = "STARTING"
        self.wanted = True
        self.steps_are_done = not order["steps"]
        self.pid_file = ""
        self.next_start = 0.0
        self.pause_s = FIRST_PAUSE_S

    def say(self, state: str, **more: object) -> None:
        """Write down what is."""
        self.state = state
        container = self.container.pid if self.container else None
        file = Path(self.order["state"])
        new = file.with_suffix(".new")
        found = {"state": state, "container": container, "pid_file": self.pid_file, "edge": self.edge.pid}
        new.write_text(json.dumps({**found, **more}))
        new.replace(file)

    def tell(self, what: str) -> None:
        """Print what happens."""
        print(f"{self.order['name']}: {what}", flush=True)

    def run(self, words: list[str]) -> subprocess.Popen[bytes]:
        """Start a container on an empty TMPDIR, under the limit of memory."""
        temporary = Path(self.order["temporary"])
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(mode=0o700)
        group = self.order["memory_group"]
        self.ooms = memory_kills(group)

        def join() -> None:
            if group:
                Path(group, "cgroup.procs").write_text("0")

        return subprocess.Popen(
            words,
            cwd=self.order["folder"],
            preexec_fn=join,  # noqa: PLW1509  (there are no threads here)
            stdin=subprocess.DEVNULL,
        )

    def start(self) -> None:
        """Run the previous steps, one after the other, where they are not done; and then the container."""
        for step in [] if self.steps_are_done else self.order["steps"]:
            self.container = self.run(step)
            self.say("RELEASING")
            while (status := self.container.poll()) is None:
                if signal.SIGTERM in asked or (signal.SIGUSR1 in asked and self.order["repeats_steps"]):
                    kill(self.container.pid)
                time.sleep(EVERY_S)
            self.clean_up()
            if status:
                self.refuse(status)
                return
        self.steps_are_done = True
        self.pid_file = self.runtime_says("pid_file")
        if self.pid_file:
            Path(self.pid_file).unlink(missing_ok=True)
        self.container = self.run(self.order["container"])
        self.probes = {kind: Probe(terms) for kind, terms in self.order["probes"].items()}
        self.say("STARTING")

    def runtime_says(self, what: str) -> str:
        """Return what the container runtime says of the container; nothing where there is none."""
        words = self.order["runtime"].get(what)
        return (
            subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip() if words else ""
        )

    def refuse(self, status: int) -> None:
        """Let nothing serve whose previous steps have failed; kubelet tries them again, a platform does not."""
        if not self.order["repeats_steps"]:
            self.tell(f"the previous steps ended with status {status}: nothing is released")
            self.edge.kill()
            self.say("FAILED", status=status)
            sys.exit(1)
        self.tell(f"the previous steps ended with status {status}: they are tried again")
        self.wait_for_next(status)

    def wait_for_next(self, status: int) -> None:
        """Start the next one after a pause, which grows as long as none comes up."""
        self.next_start = time.monotonic() + self.pause_s
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)
        self.say("BACKOFF" if self.wanted else "STOPPED", status=status)

    def look(self) -> None:
        """Look after the container, once."""
        if self.container is None:
            if self.wanted and time.monotonic() >= self.next_start:
                self.start()
            return
        status = self.container.poll()
        if status is None:
            self.ask()
            return
        ooms = memory_kills(self.order["memory_group"]) - self.ooms or self.runtime_says("oom") == "true"
        self.clean_up()
        self.tell(f"the container ended with status {status}{', OOMKilled' if ooms else ''}")
        self.wait_for_next(status)

    def ask(self) -> None:
        """Ask the probes: startup alone until it is good, then liveness and readiness."""
        startup = self.probes.get("startup")
        if startup and not startup.is_good:
            startup.look()
            self.end_if_failed("startup")
            return
        for kind in ("liveness", "readiness"):
            if kind in self.probes:
                self.probes[kind].look()
        readiness = self.probes.get("readiness")
        is_ready = (
            readiness is None or readiness.is_good or (self.state == "RUNNING" and not readiness.has_failed)
        )
        if is_ready != (self.state == "RUNNING"):
            if self.state == "RUNNING" and readiness:
                self.tell(f"not ready: {readiness.said}")
            self.pause_s = FIRST_PAUSE_S
            self.say("RUNNING" if is_ready else "UNREADY")
        self.end_if_failed("liveness")

    def end_if_failed(self, kind: str) -> None:
        """End the container, where a probe has failed too often: it is then started again."""
        probe = self.probes.get(kind)
        if probe and probe.has_failed and self.container:
            took_s = time.monotonic() - probe.began
            self.tell(
                f"{kind}: {probe.said}, {probe.failures} times ({took_s:.1f} s after the start): it is ended"
            )
            self.end(self.order["probes"][kind]["grace_s"])

    def end(self, grace_s: float, first: list[str] | None = None) -> None:
        """Run what comes before the stop, then SIGTERM, and SIGKILL after the grace, which is for both."""
        if self.container is None:
            return
        deadline = time.monotonic() + grace_s
        before = (
            subprocess.Popen(first, cwd=self.order["folder"], stdin=subprocess.DEVNULL) if first else None
        )
        while (
            before and before.poll() is None and self.container.poll() is None and time.monotonic() < deadline
        ):
            time.sleep(EVERY_S)
        if before and before.poll() is None:
            kill(before.pid)
            before.wait()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.first or self.container.pid, signal.SIGTERM)
        while self.container.poll() is None and time.monotonic() < deadline:
            time.sleep(EVERY_S)
        if self.container.poll() is None:
            self.tell("SIGKILL to what did not stop in time")
            kill((self.pid_file and self.first) or self.container.pid)
        self.container.wait()

    @property
    def first(self) -> int | None:
        """The first process of the container; None where it is not there yet."""
        return first_of(self.container.pid, self.pid_file) if self.container else None

    def stop(self) -> None:
        """End the container, and start it no more; who comes in its place does the previous steps again."""
        self.wanted = False
        if self.container:
            self.end(self.order["stop_grace_s"], self.order["before_stop"])
            self.clean_up()
        self.steps_are_done = self.steps_are_done and not self.order["repeats_steps"]
        self.say("STOPPED")

    def clean_up(self) -> None:
        """End what a container has left: where it has a PID namespace, the kernel has done it."""
        self.container = None
        for probe in self.probes.values():
            probe.close()
        self.probes = {}
        while left := set(children_of(os.getpid())) - {self.edge.pid}:
            for pid in left:
                kill(pid)
                os.waitpid(pid, 0)

    def main(self) -> None:
        """Do all of it, until SIGTERM."""
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
                self.tell(f"the edge ended with status {self.edge.returncode}")
                sys.exit(1)
            self.look()
            time.sleep(EVERY_S)


def memory_kills(group: str) -> int:
    """Return how many processes the kernel has ended in a control group for its limit of memory."""
    for name in ("memory.events", "memory.oom_control"):
        with contextlib.suppress(OSError, ValueError):
            pairs = dict(line.split() for line in Path(group, name).read_text().splitlines())
            return int(pairs.get("oom_kill", 0))
    return 0


def first_of(pid: int, pid_file: str = "") -> int | None:
    """Return the first process of a container, which gets the signals: behind ``unshare`` it is the only child.

    A container runtime writes it into a file. None where it was not made yet.
    """
    if pid_file:
        with contextlib.suppress(OSError, ValueError):
            return int(Path(pid_file).read_text())
        return None
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


def command(order: Path) -> list[str]:
    """Return the words that run the process with an order."""
    package = str(Path(__file__).parents[3])
    run = f"import sys; sys.path.insert(0, sys.argv[1]); from {__name__} import main; main(sys.argv[2])"
    return [sys.executable, "-I", "-S", "-c", run, package, str(order)]


def main(order: str) -> None:
    """Run the process."""
    for name in ("SIGUSR1", "SIGUSR2", "SIGTERM"):
        signal.signal(getattr(signal, name), lambda number, _: asked.append(number))
    found = json.loads(Path(order).read_text())
    if not found["runtime"]:  # its containers have keepers of their own
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    StandIn(found).main()
