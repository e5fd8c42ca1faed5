"""Gunicorn: https://gunicorn.org/reference/settings/."""

from pytest_deploycheck.advice import Advice

NAME = "gunicorn"
_FILE = "deploy/gunicorn.conf.py"
ADVICE = {
    "RST001": Advice(_FILE, None, "let Gunicorn replace workers itself (no hook that counts them down)"),
    "RST004": Advice(
        _FILE,
        None,
        "timeout ends a worker that hangs; it must be longer than graceful_timeout, or use a watchdog",
    ),
    "RST008": Advice(_FILE, None, "graceful_timeout must be longer than the slowest request"),
    "RST009": Advice(_FILE, None, "no preload_app: workers that are forks of an old parent run its old code"),
    "MEM003": Advice(_FILE, None, "max_requests with max_requests_jitter, or a watchdog that sends SIGTERM"),
    "MEM006": Advice(_FILE, None, "loglevel `error` or lower, and an errorlog that is kept"),
    "BOOT008": Advice(_FILE, None, "no `reload = True`"),
    "PRE002": Advice(_FILE, None, "no migrations in post_fork or post_worker_init, which run in each worker"),
    "REP001": Advice(_FILE, None, "workers = int(os.environ['WEB_CONCURRENCY'])"),
    "REP002": Advice(_FILE, None, "workers must come from the setting, not from a number in the file"),
    "TLS007": Advice(
        _FILE, None, "bind to a unix socket that only the proxy can open (umask 0o077), or to 127.0.0.1"
    ),
}
# It reads the same file in a container.
CONTAINER_ADVICE = ADVICE
