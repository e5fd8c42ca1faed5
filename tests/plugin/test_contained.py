"""What stands for a platform or kubelet, and the container that it runs, tried with containers of a few lines."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.ports import Ports
from pytest_deploycheck.stacks.contained import container, stand_in
from pytest_deploycheck.stacks.contained.stack import networks_here
from pytest_deploycheck.stacks.contained.terms import Asking

DEADLINE_S = 20.0
# The server of a container: it notes its start, and then does what the test is about.
LISTENS = 'import socket; here = socket.create_server(("127.0.0.1", PORT))'
STAYS = "import time; time.sleep(600)"
KEEPS_ON = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
needs_namespaces = pytest.mark.skipif(container.needs() is not None, reason=f"needs {container.needs()}")


class Stage:
    """A platform with a container of a test's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = Ports()
        self.port = self.ports.take()
        self.starts = folder / "starts"
        self.process: subprocess.Popen[str] | None = None

    def program(self, *lines: str) -> list[str]:
        """Return the words of a program that notes that it was started."""
        note = f'open("{self.starts}", "a").write("x")'
        return [sys.executable, "-I", "-S", "-c", "\n".join([note, *lines]).replace("PORT", str(self.port))]

    def start(self, *lines: str, **order: Any) -> None:
        """Let the platform run a container of these lines."""
        usual = {
            "edge": ["sleep", "600"],
            "container": self.program(*lines),
            "steps": [],
            "folder": str(self.folder),
            "temporary": str(self.folder / "tmp"),
            "memory_group": "",
            "runtime": {},
            "name": "platform",
            "repeats_steps": False,
            "probes": {"startup": self.probe()},
            "before_stop": [],
            "stop_grace_s": 30,
            "state": str(self.folder / "state.json"),
        }
        (self.folder / "order.json").write_text(json.dumps(usual | order), encoding="utf-8")
        words = stand_in.command(self.folder / "order.json")
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True, start_new_session=True)

    def probe(self, **terms: Any) -> dict[str, Any]:
        """Return the terms of a probe: by default it connects."""
        usual = asdict(Asking(period_s=0.05, failures=600))
        return {
            **usual,
            "command": [],
            "port": self.port,
            "host": "test",
            "folder": str(self.folder),
            **terms,
        }

    def said(self) -> dict[str, Any]:
        """Return what the platform has written down."""
        file = self.folder / "state.json"
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"state": None}

    def wait_for(self, state: str) -> dict[str, Any]:
        """Wait until it says so."""
        seen = wait_for(self.said, lambda said: said["state"] == state, deadline_s=DEADLINE_S)
        assert seen["state"] == state
        return seen

    def count(self) -> int:
        """Return how often the container was started."""
        return len(self.starts.read_text(encoding="utf-8")) if self.starts.exists() else 0

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to the platform."""
        assert self.process is not None
        self.process.send_signal(number)

    def close(self) -> None:
        """End all."""
        self.ports.close()
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """Return a platform."""
    made = Stage(tmp_path)
    try:
        yield made
    finally:
        made.close()


def test_a_container_that_ends_is_started_again(stage: Stage) -> None:
    """Whatever its exit status; and TMPDIR is empty each time."""
    stage.start(LISTENS, f'open("{stage.folder}/tmp/stale", "x")', STAYS)
    for count in (1, 2):
        pid = stage.wait_for("RUNNING")["container"]
        assert stage.count() == count
        os.kill(pid, signal.SIGKILL)
        stage.wait_for("BACKOFF")
    stage.wait_for("RUNNING")


def test_pauses_between_crashes_grow(stage: Stage) -> None:
    """One that ends at once is not started all the time."""
    stage.start("raise SystemExit(3)")
    assert stage.wait_for("BACKOFF")["status"] == 3
    assert wait_for(stage.count, lambda count: count == 3, deadline_s=DEADLINE_S) == 3
    stage.tell(signal.SIGTERM)
    assert stage.process is not None
    assert stage.process.wait(DEADLINE_S) == 0


def test_a_stop_is_a_signal_and_then_a_kill(stage: Stage) -> None:
    """A container that does not heed SIGTERM is killed when its time is over, and stays down until it is wanted."""
    stage.start(KEEPS_ON, LISTENS, STAYS, stop_grace_s=0.3)
    stage.wait_for("RUNNING")
    stage.tell(signal.SIGUSR1)
    stage.wait_for("STOPPED")
    assert not stand_in.listens(stage.port)
    assert stage.count() == 1
    stage.tell(signal.SIGUSR2)
    stage.wait_for("RUNNING")
    assert stage.count() == 2


def test_nothing_outlives_a_container(stage: Stage) -> None:
    """What its first process has started ends with it, also what nobody is the parent of."""
    leave = f'import os; os.system("sleep 600 & echo $! > {stage.folder}/left")'
    stage.start(leave, LISTENS, STAYS)
    first = stage.wait_for("RUNNING")["container"]
    pid = int((stage.folder / "left").read_text(encoding="utf-8"))
    assert psutil.pid_exists(pid)
    os.kill(first, signal.SIGKILL)
    stage.wait_for("BACKOFF")
    assert not psutil.pid_exists(pid)


def test_one_that_does_not_listen_is_ended(stage: Stage) -> None:
    """The platform says at which port it has waited."""
    stage.start(STAYS, probes={"startup": stage.probe(failures=4)})
    stage.wait_for("BACKOFF")
    stage.tell(signal.SIGTERM)
    assert stage.process is not None
    output, _ = stage.process.communicate(timeout=DEADLINE_S)
    assert f"startup: port {stage.port}: Connection refused, 4 times" in output


def test_nothing_is_released_when_the_previous_steps_fail(stage: Stage) -> None:
    """The platform ends with an error, and the container never starts."""
    stage.start(LISTENS, STAYS, steps=[["sh", "-c", "exit 7"]])
    assert stage.process is not None
    output, _ = stage.process.communicate(timeout=DEADLINE_S)
    assert (stage.process.returncode, stage.count()) == (1, 0)
    assert "the previous steps ended with status 7: nothing is released" in output


def test_previous_steps_are_tried_again(stage: Stage) -> None:
    """Kubelet runs them until they succeed, not when a container is started anew, and for each one after a stop."""
    ran = stage.folder / "ran"
    once = f"echo x >> {ran}; test $(wc -l < {ran}) -gt 1"
    stage.start(LISTENS, STAYS, steps=[["sh", "-c", once]], repeats_steps=True)
    first = stage.wait_for("RUNNING")["container"]
    assert len(ran.read_text(encoding="utf-8").split()) == 2
    os.kill(first, signal.SIGKILL)
    wait_for(stage.count, lambda count: count == 2, deadline_s=DEADLINE_S)
    stage.wait_for("RUNNING")
    assert len(ran.read_text(encoding="utf-8").split()) == 2
    stage.tell(signal.SIGUSR1)
    stage.wait_for("STOPPED")
    stage.tell(signal.SIGUSR2)
    stage.wait_for("RUNNING")
    assert len(ran.read_text(encoding="utf-8").split()) == 3


def test_a_container_that_fails_liveness_is_ended(stage: Stage) -> None:
    """It is told why, and started again."""
    alive = stage.folder / "alive"
    alive.touch()
    probe = stage.probe(command=["test", "-e", str(alive)], failures=2)
    stage.start(LISTENS, STAYS, probes={"startup": stage.probe(), "liveness": probe})
    stage.wait_for("RUNNING")
    alive.unlink()
    stage.wait_for("BACKOFF")
    alive.touch()
    stage.wait_for("RUNNING")
    assert stage.count() == 2
    stage.tell(signal.SIGTERM)
    assert stage.process is not None
    output, _ = stage.process.communicate(timeout=DEADLINE_S)
    assert "liveness: the command ended with status 1, 2 times" in output


def test_readiness_says_when_it_runs(stage: Stage) -> None:
    """A container that takes connections is not ready before it says so, and not ready any more when it says no."""
    answers = """
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if Path("ready").exists() else 503)
        self.end_headers()
    def log_message(self, *_): pass
HTTPServer(("127.0.0.1", PORT), Handler).serve_forever()
"""
    stage.start(
        answers, probes={"startup": stage.probe(), "readiness": stage.probe(path="/ready", failures=2)}
    )
    stage.wait_for("STARTING")
    wait_for(lambda: stand_in.listens(stage.port), bool, deadline_s=DEADLINE_S)
    assert stage.said()["state"] == "STARTING"
    (stage.folder / "ready").touch()
    stage.wait_for("RUNNING")
    (stage.folder / "ready").unlink()
    stage.wait_for("UNREADY")
    (stage.folder / "ready").touch()
    stage.wait_for("RUNNING")
    assert stage.count() == 1


def test_what_comes_before_a_stop_is_part_of_the_grace(stage: Stage) -> None:
    """It runs while the container still serves; SIGKILL comes when the time for both is over."""
    begun = stage.folder / "begun"
    before = ["sh", "-c", f"touch {begun}; exec sleep 600"]
    stage.start(KEEPS_ON, LISTENS, STAYS, before_stop=before, stop_grace_s=1)
    stage.wait_for("RUNNING")
    stage.tell(signal.SIGUSR1)
    assert wait_for(begun.exists, bool, deadline_s=DEADLINE_S)
    assert stand_in.listens(stage.port)
    stage.wait_for("STOPPED")
    assert not stand_in.listens(stage.port)


@pytest.fixture
def inside(tmp_path: Path) -> Callable[..., str]:
    """Return a function that runs a line of shell in a container of an empty project, and returns what it prints."""
    root = tmp_path / "run/1"
    root.mkdir(parents=True)
    (root / ".env").write_text("API_TOKEN=secret\n", encoding="utf-8")
    config = SimpleNamespace(env_file=".env")
    copy: Any = SimpleNamespace(root=root, run=SimpleNamespace(folder=root.parent, config=config))

    def run(line: str, *, read_only: bool = True) -> str:
        words = container.wrapped(copy, ["sh", "-c", line], read_only=read_only)
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()

    return run


@needs_namespaces
def test_a_container_is_the_first_process_on_a_disk_that_cannot_be_written(
    inside: Callable[..., str],
) -> None:
    """Of the project nothing can be written, nor elsewhere; beside it, where TMPDIR is, it can."""
    assert inside("echo $$") == "1"
    assert inside("touch new || echo refused") == "refused"
    assert inside("touch /usr/new || echo refused") == "refused"
    assert inside("touch ../new && echo written") == "written"
    assert inside("touch new && echo written", read_only=False) == "written"


@needs_namespaces
def test_the_environment_file_is_on_no_platform(inside: Callable[..., str]) -> None:
    """What the app needs it has to take from its variables."""
    assert inside("cat .env; echo nothing") == "nothing"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("10.0.0.0/8,fc00::/7", "127.0.0.1"),
        ("169.254.0.0/16, 172.16.0.0/12", "127.0.0.1"),
        ("34.1.2.3,10.0.0.0/8", "34.1.2.3,127.0.0.1"),
        ("*", "*"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("", ""),
    ],
)
def test_only_private_networks_become_the_edge(value: str, expected: str) -> None:
    """Whom the app believes beside the platform it believes here too, so that the checks see it."""
    assert networks_here(value) == expected
