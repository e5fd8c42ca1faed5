"""Uvicorn: how the app's workers run. Their number is WEB_CONCURRENCY in .env (REP001 REP002).

The first process of the container opens the {% if cookiecutter.process_manager in ("compose", "swarm") and cookiecutter.https_proxy != "traefik" %}socket{% else %}port{% endif %} and starts the workers, which serve on it; it imports nothing of the
app. One that dies is replaced at once (RST001). One that cannot start ends all, and the engine tries again after a
pause (RST006), where `uvicorn --workers` would try without one. Who hangs is the business of deploy/guard.py (RST004).
"""

import gc
import logging
import os
import signal
import socket
import sys
import time
from multiprocessing import get_context
from multiprocessing.connection import wait
from multiprocessing.context import ForkProcess
{%- if cookiecutter.process_manager in ("compose", "swarm") %}
from pathlib import Path
{%- endif %}

from uvicorn import Config, Server
from uvicorn.config import STARTUP_FAILURE

from {{ cookiecutter.project_slug }} import logs

{% if cookiecutter.process_manager == "compose" and cookiecutter.https_proxy == "traefik" -%}
# This container's own, for deploy/health.py: at the port, another one may answer.
SOCKET = Path("/tmp/app.sock")  # noqa: S108

{% elif cookiecutter.process_manager in ("compose", "swarm") -%}
# Each container has a socket of its own; deploy/health.py leads the proxy to it, when it is ready. So a new one takes
# its time to start, and an older one can finish what it has begun. Only who has the volume can open it, and belongs to
# the group (TLS007).
SOCKET = Path(f"var/run/{socket.gethostname()}.sock")

{% endif -%}
logger = logging.getLogger("server")


def serve(listeners: list[socket.socket]) -> None:
    """Be a worker: import the app, and serve it until SIGTERM comes."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    gc.disable()  # it would look at all that is imported, again and again; main.py lets it begin
    try:
        from {{ cookiecutter.project_slug }}.main import app  # noqa: PLC0415
    except BaseException as error:  # noqa: BLE001
        # Settings that are wrong are told in a line each; all else has a traceback.
        sys.stderr.write(f"{error}\n") if isinstance(error, SystemExit) else sys.excepthook(*sys.exc_info())
        sys.exit(STARTUP_FAILURE)
    signal.signal(signal.SIGTERM, stop)
    config = Config(
        app,
        log_config=None,
        # Where the proxy serves the app, so that it writes the right links (TLS004).
        root_path=os.environ["PATH_PREFIX"],
        # The app itself takes what the proxy says of the client (TLS005).
        proxy_headers=False,
{%- if cookiecutter.process_manager == "cloud" %}
        # After a stop, requests in flight get so long to finish: less than stop_grace_s of the contract (RST008).
        timeout_graceful_shutdown=8,
{%- else %}
        # After a stop, requests in flight get so long to finish (RST008).
        timeout_graceful_shutdown=25,
{%- endif %}
    )
    Server(config).run(sockets=listeners)


def stop(*_: object) -> None:
    """End this process in order."""
    sys.exit()


def tell(worker: ForkProcess) -> None:
    """Write down how a worker has ended (MEM006)."""
    status = worker.exitcode or 0
    how = f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with {status}"
    logger.warning("worker %s %s", worker.pid, how)


def listen() -> list[socket.socket]:
    """Open the {% if cookiecutter.process_manager not in ("compose", "swarm") %}port{% elif cookiecutter.https_proxy == "traefik" %}port and the socket{% else %}socket{% endif %}: what comes before the first worker is there waits."""
{%- if cookiecutter.process_manager not in ("compose", "swarm") %}
    # Inside of the container; who gets here is decided around it (TLS007).
    return [socket.create_server(("0.0.0.0", int(os.environ.get("PORT", "8000"))), backlog=2048)]  # noqa: S104
{%- else %}
    SOCKET.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(SOCKET))
    SOCKET.chmod({% if cookiecutter.https_proxy == "traefik" %}0o600{% else %}0o660{% endif %})
    listener.listen(2048)
{%- if cookiecutter.https_proxy == "traefik" %}
    # Traefik opens no unix sockets. Only who is on this machine gets here: the world does not go round the proxy
    # (TLS007). While a release is replaced, two containers listen here, and the kernel gives each of them requests
    # (RST009).
    here = ("127.0.0.1", int(os.environ["APP_PORT"]))
    return [listener, socket.create_server(here, backlog=2048, reuse_port=True)]
{%- else %}
    return [listener]
{%- endif %}
{%- endif %}


def main() -> None:
    """Keep as many workers as there should be, until SIGTERM comes."""
    logs.configure(os.environ["LOG_LEVEL"])
    signal.signal(signal.SIGTERM, stop)
    listeners = listen()
    workers: list[ForkProcess] = []
    try:
        while True:
            for worker in [worker for worker in workers if worker.exitcode is not None]:
                tell(worker)
                if worker.exitcode == STARTUP_FAILURE:
                    sys.exit(STARTUP_FAILURE)
                workers.remove(worker)
            while len(workers) < int(os.environ["WEB_CONCURRENCY"]):
                workers.append(get_context("fork").Process(target=serve, args=(listeners,)))
                workers[-1].start()
            wait([worker.sentinel for worker in workers])
    finally:
        # Who comes now is refused, and the proxy tries again; who came before gets an answer (RST008).
        for listener in listeners:
            listener.close()
        for worker in workers:
            worker.terminate()
        # Who has not even started yet does not listen to that.
        deadline = time.monotonic() + {% if cookiecutter.process_manager == "cloud" %}9{% else %}30{% endif %}
        for worker in workers:
            worker.join(max(0, deadline - time.monotonic()))
            worker.kill()
{%- if cookiecutter.process_manager in ("compose", "swarm") %}
        SOCKET.unlink(missing_ok=True)
{%- endif %}


main()
