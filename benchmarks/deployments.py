"""Generated projects that run as in production, by deploy/start, and wrk that loads them."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "sabotage"))

import httpx2  # noqa: E402
from harness import bake  # noqa: E402

from pytest_deploycheck.sandbox.tools import SYSTEM_PATH  # noqa: E402

TOKEN = "a-token-for-the-benchmark-only"  # noqa: S105
LIVENESS = "/health/live"
CONNECTIONS = (
    6  # what is refused (RES006) would be cheap; a session is closed after its answer, and counts so long
)
START_DEADLINE_S = 60.0


def require_wrk() -> None:
    """End with status 2 if wrk is missing."""
    if shutil.which("wrk") is None:
        print("wrk is missing: apt-get install wrk", file=sys.stderr)
        raise SystemExit(2)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def generate(folder: Path, **answers: str) -> Path:
    """Generate a project whose token the benchmark knows."""
    project = bake(folder, **answers)
    example = (project / ".env.example").read_text(encoding="utf-8")
    (project / ".env").write_text(
        example.replace("API_TOKEN=change-me", f"API_TOKEN={TOKEN}"), encoding="utf-8"
    )
    return project


@contextmanager
def deployed(project: Path) -> Iterator[str]:
    """Run deploy/start for the length of a ``with`` block; give the public address."""
    ports = {"HTTP_PORT": str(free_port()), "HTTPS_PORT": str(free_port())}
    process = subprocess.Popen(
        ["deploy/start"],
        cwd=project,
        env={"DOMAIN": "localhost", "PATH": SYSTEM_PATH, **ports},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"https://localhost:{ports['HTTPS_PORT']}"
    try:
        wait_until_up(url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def wait_until_up(url: str) -> None:
    """Wait for the first 200.

    Raises:
        SystemExit: it does not come.
    """
    deadline = time.monotonic() + START_DEADLINE_S
    while time.monotonic() < deadline:
        try:
            if httpx2.get(url + LIVENESS, verify=False, trust_env=False, timeout=5).status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


@dataclass(frozen=True, kw_only=True)
class Load:
    """What wrk saw: requests answered in a second, and the time that all but one of a hundred took, in ms."""

    per_s: float
    p99_ms: float


def load(url: str, *, seconds: int) -> Load:
    """Load a route.

    Raises:
        SystemExit: something else than 2xx was answered.
    """
    options = [
        "-t1",
        f"-c{CONNECTIONS}",
        f"-d{seconds}s",
        "--latency",
        "-H",
        f"Authorization: Bearer {TOKEN}",
    ]
    done = subprocess.run(["wrk", *options, url], capture_output=True, text=True, check=True)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    if "Non-2xx" in done.stdout or not rate or not p99:
        raise SystemExit(f"{url}:\n{done.stdout}")
    return Load(per_s=float(rate[1]), p99_ms=float(p99[1]) * {"us": 0.001, "ms": 1, "s": 1000}[p99[2]])
