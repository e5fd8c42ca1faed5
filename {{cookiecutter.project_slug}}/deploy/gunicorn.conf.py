"""Gunicorn: how the app's workers run. Their number is WEB_CONCURRENCY in .env; Gunicorn reads it itself (REP002).

It imports nothing of the app: only the workers do, so those started by a reload (SIGHUP) run the new code.
"""

import asyncio
import gc
import os
import signal
{%- if cookiecutter.process_manager in ("compose", "swarm") %}
import socket
{%- endif %}
from functools import partial
{%- if cookiecutter.process_manager == "compose" and cookiecutter.https_proxy == "traefik" %}
from pathlib import Path
{%- endif %}

from gunicorn.workers.gasgi import ASGIWorker  # type: ignore[import-untyped]

worker_class = "asgi"

{% if cookiecutter.process_manager not in ("supervisor", "systemd", "compose", "swarm") -%}
# Inside of the container; who gets here is decided around it (TLS007).
bind = f"0.0.0.0:{os.environ.get('PORT', '8000')}"
{%- elif cookiecutter.process_manager == "compose" and cookiecutter.https_proxy == "traefik" -%}
# Traefik opens no unix sockets. Only who is on this machine gets here: the world does not go round the proxy (TLS007).
# While a release is replaced, two containers listen here, and the kernel gives each of them requests (RST009). They are
# opened here, for with Gunicorn's reuse_port each worker would have a queue of its own, and take it along when it ends.
port = socket.create_server(("127.0.0.1", int(os.environ["APP_PORT"])), backlog=2048, reuse_port=True)
# This container's own, for deploy/health.py: at the port, another one may answer.
SOCKET = Path("/tmp/app.sock")  # noqa: S108
SOCKET.unlink(missing_ok=True)
own = socket.socket(socket.AF_UNIX)
own.bind(str(SOCKET))
bind = [f"fd://{listener.detach()}" for listener in (port, own)]
umask = 0o077
{%- elif cookiecutter.process_manager in ("compose", "swarm") -%}
# Each container has a socket of its own; deploy/health.py leads the proxy to it, when it is ready. So a new one takes
# its time to start, and an older one can finish what it has begun. Only who has the volume can open it, and belongs to
# the group (TLS007).
bind = f"unix:var/run/{socket.gethostname()}.sock"
umask = 0o007
{%- elif cookiecutter.https_proxy == "traefik" -%}
# Traefik opens no unix sockets. Only who is on this machine gets here: the world does not go round the proxy (TLS007).
bind = f"127.0.0.1:{os.environ['APP_PORT']}"
umask = 0o077
{%- else -%}
# Only the user who runs all this can open the socket: nobody goes round the proxy (TLS007).
bind = "unix:var/run/app.sock"
umask = 0o077
{%- endif %}

# Where the proxy serves the app, so that it writes the right links (TLS004).
root_path = os.environ["PATH_PREFIX"]

# deploy/guard.py replaces a worker that hangs (RST004); this is for one that hangs before it serves. More than
# graceful_timeout, for a worker that finishes its requests does not answer its parent.
timeout = 30
{%- if cookiecutter.process_manager == "cloud" %}
# After a stop, requests in flight get so long to finish: less than stop_grace_s in deploy/cloud/contract.toml (RST008).
graceful_timeout = 8
{%- else %}
# After a stop, requests in flight get so long to finish (RST008).
graceful_timeout = 25
{%- endif %}
{%- if cookiecutter.process_manager == "cloud" %}

# The app itself decides whose X-Forwarded-* it believes (TLS006).
forwarded_allow_ips = ""
{%- endif %}

# {{ {"supervisor": "supervisorctl", "systemd": "systemctl", "cloud": "The platform"}.get(cookiecutter.process_manager, "The container engine") }} is the way to control it.
control_socket_disable = True


def post_fork(_server: object, _worker: object) -> None:
    """Keep SIGTERM for later: uvloop loses one that comes while the app is imported, and the stop would take 25 s.

    The garbage collector would look at all that is imported, again and again; main.py lets it begin (RST001).
    """
    gc.disable()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})


def post_worker_init(worker: ASGIWorker) -> None:
    """Let as many connections wait as Gunicorn's parent does: the loop takes 100, and a socket refuses the rest."""
    worker.loop.call_soon(listen_for_stop, worker)
    worker.loop.create_server = partial(worker.loop.create_server, backlog=worker.cfg.backlog)


def listen_for_stop(worker: ASGIWorker) -> None:
    """Take SIGTERM as soon as the event loop runs, and stop at once: Gunicorn looks for it once a second (RST007)."""
    (serving,) = asyncio.all_tasks(worker.loop)

    def stop() -> None:
        is_serving = worker.alive and len(worker.servers) == len(worker.sockets)
        worker.handle_exit_signal()
        if is_serving:  # this ends the pause between two looks, and requests in flight finish as ever
            serving.cancel()

    worker.loop.add_signal_handler(signal.SIGTERM, stop)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
