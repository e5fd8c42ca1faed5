"""What runs in a container beside the app, and tells what the API does not: which processes there are."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import signal
import subprocess
import threading
import time
from typing import Any

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.inside.deploycheck_mark import DEATH_SIGNAL, HANG_SIGNAL, pid_of
from pytest_deploycheck.sandbox.run import Run
from pytest_deploycheck.stacks.kubernetes.cluster.api import environment
from pytest_deploycheck.stacks.kubernetes.cluster.objects import PROBE

ANSWER_S = 10.0
FIRST = 1
FORBIDDEN = (errno.EACCES, errno.EPERM)
# The kernel keeps these from a container's first process when they come from inside; the probe in it does the same.
FOR_THE_FIRST = {signal.SIGKILL: DEATH_SIGNAL, signal.SIGSTOP: HANG_SIGNAL}


class Agent:
    """One in a container that runs."""

    def __init__(self, run: Run, kubectl: list[str], pod: str, container: str) -> None:
        self.pod = pod
        self.began = time.monotonic()
        self.first = 0
        self._processes: dict[int, list[Any]] = {}
        self._own = 0
        self._orders = itertools.count(1)
        self._answers: dict[int, dict[str, Any]] = {}
        self._told = threading.Condition()
        self.has_ended = False
        words = ["python3", "-E", "-s", "-S", "-u", f"{PROBE}/agent.py"]
        self._process = run.popen(
            [*kubectl, "exec", "--stdin", pod, f"--container={container}", "--", *words],
            env=environment(run),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        threading.Thread(target=self._read, name=f"agent-{pod}", daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError, KeyError), self._told:
                said = json.loads(line)
                if "answer" in said:
                    self._answers[said["answer"]] = said
                else:
                    self.first, self._own = said["first"], said["own"]
                    self._processes = {int(pid): about for pid, about in said["processes"].items()}
                self._told.notify_all()
        with self._told:
            self.has_ended = True
            self._told.notify_all()

    @property
    def tree(self) -> frozenset[int]:
        """The container's first process and all below it that live, as numbers."""
        if self.has_ended or not self.first:
            return frozenset()
        base, about = self.first - FIRST, self._processes
        found = {FIRST}
        while more := {pid for pid, (parent, *_) in about.items() if parent in found and pid not in found}:
            found |= more
        return frozenset(base + pid for pid in found if pid in about and about[pid][1] != "Z")

    def knows(self, number: int) -> bool:
        """Tell whether a process is, or was, in this container."""
        return bool(self.first) and number - pid_of(number) == self.first - FIRST

    def command_line(self, number: int) -> str:
        """Return the command line of a process, with the pod's name; empty if it is gone."""
        about = self._processes.get(pid_of(number))
        return f"{self.pod} pid {pid_of(number)}: {about[2]}" if about and not self.has_ended else ""

    def signal(self, number: int, which: int) -> None:
        """Send a signal to a process."""
        pid = pid_of(number)
        if pid == FIRST and which in FOR_THE_FIRST:
            which = FOR_THE_FIRST[signal.Signals(which)]
            if not self._catches(which):
                raise NotVerified(
                    f"{self.pod}: the first process of its container is no Python with the probe, and the kernel lets "
                    "nobody in the container end it"
                )
        self._ask(pid=pid, signal=int(which))

    def _catches(self, which: int) -> bool:
        """Tell whether the first process handles a signal: https://man7.org/linux/man-pages/man5/proc_pid_status.5.html."""
        said = self.read(FIRST, "/proc/{pid}/status")
        mask = next((line.split()[1] for line in said.splitlines() if line.startswith("SigCgt:")), "0")
        return bool(int(mask, 16) >> (which - 1) & 1)

    def read(self, number: int, path: str) -> str:
        """Return the text of a file of the container, such as of a process; see ``kernel.read``."""
        return self._ask(file=path.replace("{pid}", str(pid_of(number))))

    def links(self, number: int, folder: str) -> list[str]:
        """Return where the links in a folder of the container lead; see ``kernel.open_files``."""
        return self._ask(folder=folder.replace("{pid}", str(pid_of(number)))).splitlines()

    def _ask(self, **what: Any) -> str:
        order = next(self._orders)
        assert self._process.stdin is not None
        with self._told:
            if self.has_ended:
                raise ProcessLookupError
            try:
                self._process.stdin.write(f"{json.dumps({'order': order, **what})}\n".encode())
                self._process.stdin.flush()
            except OSError:
                raise ProcessLookupError from None
            self._told.wait_for(lambda: order in self._answers or self.has_ended, timeout=ANSWER_S)
            said = self._answers.pop(order, {"error": "no answer"})
        if said.get("number") in FORBIDDEN:
            raise NotVerified(f"{self.pod}: nobody else in its container may do that: {said['error']}")
        if said.get("number") == errno.ENOENT:
            raise FileNotFoundError(said["error"])
        if "error" in said:
            raise ProcessLookupError(said["error"])  # or who ended the first process has ended the agent too
        return str(said.get("text", ""))
