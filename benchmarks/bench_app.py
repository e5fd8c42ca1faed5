"""Compare the generated app with a bare FastAPI app that has the same routes and nothing around them.

Both run as production does, by deploy/start, with the same server and as many workers; only the app differs: the
middlewares, JSON logs and metrics of the generated one cost something. Rounds of load alternate between the two.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "sabotage"))

import httpx2  # noqa: E402
from harness import bake  # noqa: E402

TARGET_RATIO = 0.95
TOKEN = "a-token-for-the-benchmark-only"  # noqa: S105
ROUTES = {"notes": "/notes", "liveness": "/health/live"}
CONNECTIONS = 12  # more at once than the generated app takes would be refused (RES006), which is cheap
START_DEADLINE_S = 60.0
BARE = '''"""The same routes, and nothing around them."""

from contextlib import asynccontextmanager

from fastapi import FastAPI

from notes_api import health, notes
from notes_api.database import create_engine
from notes_api.settings import load

settings = load()


@asynccontextmanager
async def lifespan(app):
    app.state.engine = create_engine(settings.database_url)
    yield


app = FastAPI(lifespan=lifespan)
app.state.settings = settings
app.get("/notes")(notes.list_notes)
app.get("/health/live")(health.live)
'''


@dataclass(frozen=True, kw_only=True)
class Deployment:
    """A running project, and where it is reached straight and through its proxy."""

    straight: str
    proxied: str

    def url(self, path: str, *, proxy: bool) -> str:
        """Return the address of a route."""
        return (self.proxied if proxy else self.straight) + path


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def prepare(folder: Path, server: str, port: int, *, bare: bool) -> Path:
    """Make a project whose app listens on a TCP port, for wrk knows no unix sockets."""
    project = bake(folder, app_server=server)
    changes = {
        "deploy/Caddyfile": ("unix/var/run/app.sock", f"127.0.0.1:{port}"),
        "deploy/gunicorn.conf.py": ('"unix:var/run/app.sock"', f'"127.0.0.1:{port}"'),
        "deploy/supervisord.conf": (
            "socket=unix://%(here)s/../var/run/app.sock",
            f"socket=tcp://localhost:{port}",
        ),
    }
    for name, (old, new) in changes.items():
        file = project / name
        if file.exists():
            text = file.read_text(encoding="utf-8").replace(old, new).replace("socket_mode=0600\n", "")
            file.write_text(text, encoding="utf-8")
    if bare:
        (project / "src/notes_api/main.py").write_text(BARE, encoding="utf-8")
    example = (project / ".env.example").read_text(encoding="utf-8")
    (project / ".env").write_text(
        example.replace("API_TOKEN=change-me", f"API_TOKEN={TOKEN}"), encoding="utf-8"
    )
    return project


@contextmanager
def deployed(project: Path, port: int) -> Iterator[Deployment]:
    """Run deploy/start for the length of a ``with`` block."""
    ports = {"HTTP_PORT": str(free_port()), "HTTPS_PORT": str(free_port())}
    process = subprocess.Popen(
        ["deploy/start"],
        cwd=project,
        env={"DOMAIN": "localhost", "PATH": os.defpath, **ports},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    found = Deployment(
        straight=f"http://127.0.0.1:{port}", proxied=f"https://localhost:{ports['HTTPS_PORT']}"
    )
    try:
        for proxy in (False, True):
            wait_until_up(found.url(ROUTES["liveness"], proxy=proxy))
        yield found
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
            if httpx2.get(url, verify=False, trust_env=False, timeout=5).status_code == 200:
                return
        except httpx2.TransportError:
            time.sleep(0.1)
    raise SystemExit(f"{url} does not answer")


def requests_per_s(url: str, seconds: int) -> float:
    """Load a route and return what was answered in a second.

    Raises:
        SystemExit: something else than 2xx was answered.
    """
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-H", f"Authorization: Bearer {TOKEN}"]
    done = subprocess.run(["wrk", *options, url], capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or (rate := re.search(r"Requests/sec:\s*([\d.]+)", done.stdout)) is None:
        raise SystemExit(f"{url}:\n{done.stdout}")
    return float(rate[1])


def compare(server: str, *, rounds: int, seconds: int) -> dict[str, float]:
    """Load both apps in turns; return the ratio of each route, straight and through the proxy."""
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        ports = {"bare": free_port(), "generated": free_port()}
        projects = {
            name: prepare(Path(folder, name), server, port, bare=name == "bare")
            for name, port in ports.items()
        }
        with (
            deployed(projects["bare"], ports["bare"]) as bare,
            deployed(projects["generated"], ports["generated"]) as generated,
        ):
            for proxy in (False, True):
                for route, path in ROUTES.items():
                    pairs = [
                        [requests_per_s(each.url(path, proxy=proxy), seconds) for each in (bare, generated)]
                        for _ in range(rounds + 1)
                    ][1:]  # the first round warms up
                    what = f"{server} {route}{' through the proxy' if proxy else ''}"
                    ratios[what] = ratio = statistics.median(made / plain for plain, made in pairs)
                    plain, made = (statistics.median(values) for values in zip(*pairs, strict=True))
                    print(
                        f"{what:40} bare {plain:7.0f}/s, generated {made:7.0f}/s, ratio {ratio:.2f}",
                        flush=True,
                    )
    return ratios


def main() -> int:
    """Measure each server; the target is one for the route that does some work."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="of each round")
    parser.add_argument("--server", choices=("gunicorn", "uvicorn"), action="append", help="only this one")
    options = parser.parse_args()
    if shutil.which("wrk") is None:
        print("wrk is missing: apt-get install wrk", file=sys.stderr)
        return 2
    ratios: dict[str, float] = {}
    for server in options.server or ("gunicorn", "uvicorn"):
        ratios |= compare(server, rounds=options.rounds, seconds=options.seconds)
    worst = min(ratio for what, ratio in ratios.items() if "notes" in what)
    print(f"worst ratio of the notes {worst:.2f} (target: at least {TARGET_RATIO})")
    return 0 if worst >= TARGET_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
