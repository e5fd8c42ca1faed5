"""Broken startup, and right ways of another kind."""

from harness import Change, sabotage

START = "deploy/start"
STEPS = "deploy/previous-steps"
CONF = "deploy/supervisord.conf"
ENABLE = "deploy/enable"
UNIT = "deploy/unit.service"
GUNICORN = "deploy/gunicorn.conf.py"
APP = "src/notes_api/application.py"
SETTINGS = "src/notes_api/settings.py"
HEALTH = "src/notes_api/health.py"
ENV = "migrations/env.py"

ENABLE_UNIT = 'systemctl ${DESTDIR:+--root="$DESTDIR"} enable "$unit"'
SHELL_PATH = 'PATH="$PWD/.venv/bin:${PATH:-/usr/local/bin:/usr/bin:/bin}"'
ASK_THE_SOCKET = " && supervisorctl -c deploy/supervisord.conf pid >/dev/null 2>&1; then"
FOLDERS = "mkdir -p var/data var/log var/run\n"
ON_SIGNAL = "trap 'kill $! && wait $!' INT QUIT TERM"
SCHEMA = "if revision is not None and revision not in request.app.state.outdated_revisions:"

SABOTAGES = [
    sabotage(
        "unit is written, and only a comment enables it", ENABLE, ENABLE_UNIT, f"# {ENABLE_UNIT}", "BOOT001"
    ),
    sabotage(
        "unit has no install section",
        UNIT,
        "[Install]\nWantedBy",
        "# [Install]\nWantedBy",
        "BOOT001",
        server="uvicorn",
    ),
    sabotage(
        "a target wants it that nobody wants", UNIT, "WantedBy=multi-user.", "WantedBy=notes_api.", "BOOT001"
    ),
    sabotage(
        "unit runs the previous steps only", UNIT, "/deploy/start\n", "/deploy/previous-steps\n", "BOOT001"
    ),
    sabotage("typing error in the unit", UNIT, "Restart=always", "Restrat=always", "BOOT001"),
    sabotage(
        "unit starts it by way of a shell, and is required",
        UNIT,
        "ExecStart=@FOLDER@/deploy/start\n",
        "WorkingDirectory=@FOLDER@\nExecStart=/bin/sh deploy/start\n",
        more=(Change(file=UNIT, old="WantedBy=", new="RequiredBy="),),
    ),
    sabotage(
        "programs come from the path of a shell",
        START,
        SHELL_PATH,
        'PATH="${PATH:-/usr/local/bin:/usr/bin:/bin}"',
        "BOOT002",
    ),
    sabotage("starts only in the project's folder", START, 'cd "$(dirname "$0")/.."', ":", "BOOT002"),
    sabotage(
        "home of a shell is needed", START, "umask 077\n", 'umask 077\nCACHE="$HOME/.cache"\n', "BOOT002"
    ),
    sabotage(
        "typing error in supervisor's file, server is uvicorn",
        CONF,
        "[program:proxy]\ncommand=",
        "[program:proxy]\ncomand=",
        "BOOT002",
        server="uvicorn",
    ),
    sabotage(
        "database is not waited for, sixty seconds are only in a comment",
        ENV,
        "PATIENCE_S = 60",
        "# PATIENCE_S = 60\nPATIENCE_S = 0",
        "BOOT003",
    ),
    sabotage(
        "folder of the database is asked for once",
        STEPS,
        "exec python",
        "folder=$(dotenv get DATABASE_URL | sed 's,.*:///,,; s,/[^/]*$,,')\n"
        '[ -d "$folder" ] || { echo "DATABASE_URL: no folder $folder" >&2; exit 1; }\nexec python',
        "BOOT003",
        server="uvicorn",
    ),
    sabotage(
        "folder of the database is waited for in the script",
        STEPS,
        "exec python",
        "folder=$(dotenv get DATABASE_URL | sed 's,.*:///,,; s,/[^/]*$,,')\n"
        'case $folder in /*) until [ -d "$folder" ]; do sleep 1; done;; esac\nexec python',
        more=(Change(file=ENV, old="PATIENCE_S = 60", new="PATIENCE_S = 0"),),
    ),
    sabotage(
        "lock that a power cut leaves behind",
        START,
        FOLDERS,
        f'{FOLDERS}mkdir var/run/lock || fail "already running"\n',
        "BOOT004",
    ),
    sabotage(
        "socket file taken for a running supervisor",
        START,
        ASK_THE_SOCKET,
        "; then",
        "BOOT004",
        server="uvicorn",
    ),
    sabotage(
        "start script takes supervisor along when the terminal closes",
        START,
        ON_SIGNAL,
        f"{ON_SIGNAL} HUP",
        "BOOT005",
        server="uvicorn",
    ),
    sabotage(
        "supervisor writes to a closed terminal, silent is only a comment",
        START,
        '"$@" --silent &\n',
        '"$@" &  # --silent\n',
        "BOOT005",
    ),
    sabotage(
        "supervisor becomes silent in the terminal, and starts all anew when that closes",
        START,
        '[ -t 1 ] || exec "$@"\n',
        '[ ! -t 1 ] || set -- "$@" --silent\nexec "$@"\n',
    ),
    sabotage(
        "secret with a default",
        SETTINGS,
        "api_token: SecretStr\n",
        'api_token: SecretStr = SecretStr("change-me-change-me-change-me")\n',
        "BOOT006",
    ),
    sabotage(
        "empty secret is taken, its length is only checked in a comment",
        SETTINGS,
        "TOKEN_LENGTH = 20",
        "# TOKEN_LENGTH = 20\nTOKEN_LENGTH = 0",
        "BOOT006",
    ),
    sabotage(
        "bad setting is told in a traceback of many lines",
        SETTINGS,
        '        raise SystemExit("\\n".join(map(_line, error.errors(include_url=False)))) from None',
        "        raise",
        "BOOT006",
    ),
    sabotage(
        "missing setting is not named",
        SETTINGS,
        'return f"{name} is missing',
        'return "a setting is missing',
        "BOOT006",
        server="uvicorn",
    ),
    sabotage("readiness without the schema", HEALTH, SCHEMA, "if revision is not None:", "BOOT007"),
    sabotage(
        "readiness that any revision satisfies, server is uvicorn",
        HEALTH,
        SCHEMA,
        f"# {SCHEMA}\n        if revision:",
        "BOOT007",
        server="uvicorn",
    ),
    sabotage("debug mode", APP, "app = FastAPI(\n", "app = FastAPI(\n        debug=True,\n", "BOOT008"),
    sabotage(
        "reloader in gunicorn's file",
        GUNICORN,
        'worker_class = "asgi"\n',
        'worker_class = "asgi"\nreload = True\n',
        "BOOT008",
    ),
    sabotage(
        "traceback in the answer",
        APP,
        '{"detail": "internal server error"}',
        '{"detail": "".join(__import__("traceback").format_exception(_error))}',
        "BOOT008",
        server="uvicorn",
    ),
    sabotage(
        "settings in another order, with quotes and export",
        ".env",
        "HTTP_PORT=80\nHTTPS_PORT=443\n",
        "HTTPS_PORT='443'\nexport HTTP_PORT=\"80\"  # both are usual\n",
        more=(
            Change(file=".env", old="\nAPI_TOKEN=", new="\nexport API_TOKEN = "),
            Change(file=".env", old="WEB_CONCURRENCY=2\n", new='WEB_CONCURRENCY="2"\n'),
        ),
    ),
]
