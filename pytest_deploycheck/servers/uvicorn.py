"""Uvicorn: https://uvicorn.dev/settings/."""

from pytest_deploycheck.advice import Advice

NAME = "uvicorn"
_FILE = "deploy/supervisord.conf"
ADVICE = {
    "RST004": Advice(_FILE, None, "nobody watches single processes of Uvicorn: run a watchdog beside them"),
    "MEM003": Advice(
        _FILE, None, "--limit-max-requests with --limit-max-requests-jitter, or a watchdog that sends SIGTERM"
    ),
    "MEM006": Advice(
        _FILE, None, "loglevel of [supervisord] `warn` or lower: it tells that a process was killed"
    ),
    "REP001": Advice(
        _FILE, None, "numprocs from the setting, and uvicorn --workers 1: else it reads WEB_CONCURRENCY too"
    ),
    "REP002": Advice(_FILE, None, "numprocs=%(ENV_WEB_CONCURRENCY)s, not a number"),
}
