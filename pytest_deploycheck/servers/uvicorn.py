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
# In a container the template's own file starts the workers, and no process manager.
_SERVER = "deploy/server.py"
CONTAINER_ADVICE = {
    "RST001": Advice(
        _SERVER, None, "the first process waits for its workers, and starts one in place of each that ends"
    ),
    "RST004": ADVICE["RST004"].at("deploy/serve"),
    "RST006": Advice(_SERVER, None, "end when a worker cannot start: the engine tries again, after a pause"),
    "RST008": Advice(_SERVER, None, "timeout_graceful_shutdown must be longer than the slowest request"),
    "MEM003": ADVICE["MEM003"].at("deploy/serve"),
    "MEM006": Advice(_SERVER, None, "write down how a worker has ended, by which signal"),
    "REP001": Advice(_SERVER, None, "as many workers as int(os.environ['WEB_CONCURRENCY'])"),
    "REP002": Advice(_SERVER, None, "the number of workers comes from the setting, and is none in the file"),
    "TLS007": Advice(_SERVER, None, "a unix socket that only the proxy can open (0o660), and no port"),
}
