"""Broken Compose files and images, and the checks that must catch each; right ones, which none may catch."""

from harness import Change, sabotage

FILE = "compose.yaml"
DOCKERFILE = "Dockerfile"
SERVE = "deploy/serve"
GUNICORN = "deploy/gunicorn.conf.py"
ALWAYS = "    # Also after a clean exit, and when the machine starts (RST002 RST003 BOOT001).\n    restart: always\n"
GRACE = "    stop_grace_period: 35s\n    # A connection is an open file (RES004).\n"
LIMIT = "  mem_limit: ${MEMORY_LIMIT_MB}m\n  memswap_limit: ${MEMORY_LIMIT_MB}m\n"
ROTATION = '    driver: json-file\n    options: {max-size: 5m, max-file: "6"}\n'
EXEC = "exec gunicorn -c"
UVICORN = "deploy/server.py"
OWN_COMMAND = """ln -sf "$HOSTNAME.sock" var/run/app.sock
exec uvicorn notes_api.main:app --uds "var/run/$HOSTNAME.sock" --workers "$WEB_CONCURRENCY" --no-proxy-headers \\
    --root-path "$PATH_PREFIX" --timeout-graceful-shutdown 25
"""
HEALTHCHECK = 'CMD ["/app/.venv/bin/python", "deploy/health.py"]'
COMMAND = 'CMD ["deploy/serve"]'
SETTINGS = "src/notes_api/settings.py"
VOLUMES = "  volumes:\n    - data:/app/var/data\n    - run:/app/var/run\n"
CONDITION = "      migrate: {condition: service_completed_successfully}\n"

SABOTAGES = [
    sabotage("no restart", FILE, ALWAYS, '    restart: "no"\n', "BOOT001", "RST002", "RST003"),
    sabotage("restart after a failure only", FILE, ALWAYS, "    restart: on-failure\n", "BOOT001", "RST003"),
    sabotage("the shell form of CMD", DOCKERFILE, COMMAND, "CMD deploy/serve || exit 1", "RST007", "RST008"),
    sabotage("a start script without exec", SERVE, EXEC, "gunicorn -c", "RST007", "RST008"),
    sabotage("a health check that cannot fail", DOCKERFILE, HEALTHCHECK, "CMD true", "RST011"),
    sabotage("one second to stop", FILE, GRACE, GRACE.replace("35s", "1s"), "RST008"),
    # Gunicorn takes SIGQUIT for a stop without grace.
    sabotage("a signal that stops at once", FILE, GRACE, f"{GRACE}    stop_signal: SIGQUIT\n", "RST008"),
    sabotage(
        "no limit, and a guard that looks away",
        FILE,
        LIMIT,
        "",
        "MEM002",
        more=(Change(file="deploy/guard.py", old="if total > LIMIT_MB:", new="if total > 99 * LIMIT_MB:"),),
    ),
    sabotage("a limit that is too small", FILE, LIMIT, "  mem_limit: 130m\n", "MEM001"),
    sabotage("logs without a bound", FILE, ROTATION, "    driver: json-file\n", "RES005"),
    sabotage("few open files", FILE, "{nofile: 4096}", "{nofile: 40}", "RES004"),
    sabotage(
        "the app at a port of the machine",
        FILE,
        "  network_mode: none\n",
        "  network_mode: host\n",
        "TLS007",
        more=(
            Change(
                file=GUNICORN,
                old='bind = f"unix:var/run/{socket.gethostname()}.sock"',
                new='bind = [f"unix:var/run/{socket.gethostname()}.sock", "0.0.0.0:8000"]',
            ),
        ),
    ),
    sabotage(
        "a port that the engine publishes",
        FILE,
        "  network_mode: none\n",
        "",
        "TLS007",
        more=(
            Change(file=FILE, old=GRACE, new=f'{GRACE}    ports: ["8765:8000"]\n'),
            Change(
                file=GUNICORN,
                old='bind = f"unix:var/run/{socket.gethostname()}.sock"',
                new='bind = [f"unix:var/run/{socket.gethostname()}.sock", "0.0.0.0:8000"]',
            ),
        ),
    ),
    # That one has a default would not be seen: without its file the engine refuses to start.
    sabotage("an empty token will do", SETTINGS, "TOKEN_LENGTH = 20", "TOKEN_LENGTH = 0", "BOOT006"),
    # Where the steps are quick it makes no difference, and nobody sees it.
    sabotage(
        "an app that does not wait for previous steps that take long",
        FILE,
        CONDITION,
        "      migrate: {condition: service_started}\n",
        "PRE001",
        more=(Change(file="deploy/previous-steps", old="exec python", new="sleep 6\nexec python"),),
    ),
    sabotage(
        "each container takes the previous steps",
        SERVE,
        EXEC,
        "deploy/previous-steps\nexec gunicorn -c",
        "REP005",
        "PRE002",
    ),
    sabotage(
        "uvicorn: one worker more",
        UVICORN,
        'int(os.environ["WEB_CONCURRENCY"]):',
        'int(os.environ["WEB_CONCURRENCY"]) + 1:',
        "REP001",
        server="uvicorn",
    ),
    sabotage(
        "uvicorn: a start script without exec",
        SERVE,
        "exec python -P deploy/server.py",
        "python -P deploy/server.py",
        "RST007",
        "RST008",
        server="uvicorn",
    ),
    sabotage(
        "uvicorn: no time for requests",
        UVICORN,
        "timeout_graceful_shutdown=25",
        "timeout_graceful_shutdown=0",
        "RST008",
        server="uvicorn",
    ),
    # Its parent starts what cannot be imported again and again.
    sabotage(
        "uvicorn: its own command",
        SERVE,
        "exec python -P deploy/server.py\n",
        OWN_COMMAND,
        "RST006",
        server="uvicorn",
    ),
    # Right ones.
    sabotage(
        "the token is a line of .env",
        FILE,
        "  # Files in /run/secrets, which `docker inspect` does not show.\n  secrets: [api_token]\n",
        "",
        touches=("BOOT006", "RST009"),
        more=(
            Change(file=FILE, old="secrets:\n  api_token: {file: .secrets/api_token}\n", new=""),
            Change(file=".env", old="HTTP_PORT=", new="API_TOKEN=in-a-line-and-not-in-a-file\nHTTP_PORT="),
            Change(file="pyproject.toml", old='secrets_dir = ".secrets"\n', new=""),
        ),
    ),
    sabotage(
        "restart unless stopped", FILE, ALWAYS, "    restart: unless-stopped\n", touches=("RST002", "RST003")
    ),
    sabotage(
        "other words for the same",
        FILE,
        VOLUMES,
        "  # The same, at length.\n  volumes:\n"
        "    - {type: volume, source: run, target: /app/var/run}\n"
        "    - target: /app/var/data\n      source: data\n      type: volume\n",
        touches=("RST007", "TLS007"),
        more=(
            Change(file=FILE, old=ALWAYS, new=""),
            Change(
                file=FILE,
                old="    ulimits: {nofile: 4096}\n",
                new="    ulimits: {nofile: 4096}\n    restart: always\n",
            ),
        ),
    ),
]
