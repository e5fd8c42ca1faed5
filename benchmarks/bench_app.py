"""Compare the generated app with a bare FastAPI app that has the same routes and nothing around them.

Both run as production does, by deploy/start, with the same server and as many workers; only the app differs: the
middlewares, JSON logs and metrics of the generated one cost something. Rounds of load alternate between the two.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

from deployments import LIVENESS, deployed, free_port, generate, load, require_wrk

TARGET_RATIO = 0.95
ROUTES = {"notes": "/notes", "liveness": LIVENESS}
BARE = '''"""The same routes, and nothing around them."""

from contextlib import asynccontextmanager

from fastapi import FastAPI

from notes_api import health, notes
from notes_api.database import create_engine
from notes_api.settings import load

settings = load()


@asynccontextmanager
async def lifespan(app):
    app.state.engine = create_engine(settings)
    yield


app = FastAPI(lifespan=lifespan)
app.state.settings = settings
app.include_router(notes.router)
app.include_router(health.router)
'''

# Uvicorn takes the socket at fd 0 for a unix one, so asyncio does not switch Nagle's algorithm off, as it does for TCP,
# and each answer waits 40 ms. What the listening socket has, connections have too.
WITHOUT_NAGLE = """import os, socket, sys
socket.socket(fileno=os.dup(0)).setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def prepare(folder: Path, server: str, port: int, *, bare: bool) -> Path:
    """Make a project whose app listens on a TCP port, for wrk knows no unix sockets."""
    project = generate(folder, app_server=server)
    changes = [
        ("deploy/Caddyfile", "unix/var/run/app.sock", f"127.0.0.1:{port}"),
        ("deploy/gunicorn.conf.py", '"unix:var/run/app.sock"', f'"127.0.0.1:{port}"'),
        (
            "deploy/supervisord.conf",
            "socket=unix://%(here)s/../var/run/app.sock",
            f"socket=tcp://localhost:{port}",
        ),
        ("deploy/supervisord.conf", "socket_mode=0600\n", ""),
        ("deploy/supervisord.conf", "command=uvicorn ", "command=python deploy/without_nagle.py uvicorn "),
    ]
    for name, old, new in changes:
        file = project / name
        if file.exists():
            file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    (project / "deploy/without_nagle.py").write_text(WITHOUT_NAGLE, encoding="utf-8")
    if bare:
        (project / "src/notes_api/main.py").write_text(BARE, encoding="utf-8")
    return project


def compare(server: str, *, rounds: int, seconds: int) -> dict[str, float]:
    """Load both apps in turns; return the ratio of each route, straight and through the proxy."""
    ratios: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        ports = {"bare": free_port(), "generated": free_port()}
        projects = {
            name: prepare(Path(folder, name), server, port, bare=name == "bare")
            for name, port in ports.items()
        }
        with deployed(projects["bare"]) as bare, deployed(projects["generated"]) as generated:
            straight = [f"http://127.0.0.1:{port}" for port in ports.values()]
            for how, addresses in {"": straight, " through the proxy": [bare, generated]}.items():
                for route, path in ROUTES.items():
                    pairs = [
                        [load(address + path, seconds=seconds).per_s for address in addresses]
                        for _ in range(rounds + 1)
                    ][1:]  # the first round warms up
                    what = f"{server} {route}{how}"
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
    require_wrk()
    ratios: dict[str, float] = {}
    for server in options.server or ("gunicorn", "uvicorn"):
        ratios |= compare(server, rounds=options.rounds, seconds=options.seconds)
    worst = min(ratio for what, ratio in ratios.items() if "notes" in what)
    print(f"worst ratio of the notes {worst:.2f} (target: at least {TARGET_RATIO})")
    return 0 if worst >= TARGET_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
