"""Gunicorn: how the app's workers run. Their number is WEB_CONCURRENCY in .env; Gunicorn reads it itself (REP002).

It imports nothing of the app: only the workers do, so those started by a reload (SIGHUP) run the new code.
"""

import os

worker_class = "asgi"

# Only the user who runs all this can open the socket: nobody goes round the proxy (TLS007).
bind = "unix:var/run/app.sock"
umask = 0o077

# Where the proxy serves the app, so that it writes the right links (TLS004).
root_path = os.environ["PATH_PREFIX"]

# deploy/guard.py replaces a worker that hangs (RST004); this is for one that hangs before it serves. More than
# graceful_timeout, for a worker that finishes its requests does not answer its parent.
timeout = 30
# After a stop, requests in flight get so long to finish (RST008).
graceful_timeout = 25

# supervisorctl is the way to control it.
control_socket_disable = True
