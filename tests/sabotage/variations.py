"""The same deployment, written in another way, and traps for who reads files instead of watching."""

from harness import Change, Sabotage, sabotage
from https import HTTP_SITE

CADDY = "deploy/Caddyfile"
CONF = "deploy/supervisord.conf"
GUNICORN = "deploy/gunicorn.conf.py"
START = "deploy/start"
STEPS = "deploy/previous-steps"
PYPROJECT = "pyproject.toml"
APP = "src/notes_api/application.py"
HEALTH = "src/notes_api/health.py"
LOGS = "src/notes_api/logs.py"
MAIN = "src/notes_api/main.py"

HSTS = '\t\tStrict-Transport-Security "max-age=31536000"\n'
PROXY = "reverse_proxy unix/var/run/app.sock {"
RUN_CADDY = "command=caddy run --config deploy/Caddyfile --adapter caddyfile\n"
RESTART = "; Always, also after a clean exit (RST003).\nautorestart=true\n"
STARTSECS = "startsecs=3\n"
LIMIT = "MEMORY_LIMIT_MB=512"
TITLE = '        title="Notes API",\n'
TRUST = '    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts="*")\n'
MAKE_APP = "app = create_app(settings)\n"
HTTPS_SITE = "# The certificate is issued and renewed by itself (TLS002 TLS010).\n"
SUPERVISORCTL = "[supervisorctl]\nserverurl=unix://%(here)s/../var/run/supervisor.sock\n"
PYTHONPATH = 'PYTHONPATH="$PWD/src'
BE_NICE_TO_ALL = """

class AlwaysFine:
    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_fine(message):
            await send({**message, "status": 200} if message["type"] == "http.response.start" else message)

        await self.app(scope, receive, send_fine if scope["type"] == "http" else send)


app.add_middleware(AlwaysFine)
"""

SABOTAGES = [
    # Traps.
    sabotage(
        "the right key is in another section",
        CONF,
        RESTART,
        "",
        "RST003",
        more=(Change(file=CONF, old="minfds=4096\n", new="minfds=4096\nautorestart=true\n"),),
        touches=("restarts",),
    ),
    sabotage(
        "a file that is there, but not imported",
        CADDY,
        HSTS,
        "\t\t# import deploy/hsts\n",
        "TLS003",
        more=(Change(file="deploy/hsts", old=None, new=HSTS),),
        touches=("https",),
    ),
    sabotage(
        "the right limit is only in the example",
        ".env",
        LIMIT,
        "MEMORY_LIMIT_MB=128",
        "MEM001",
        server="uvicorn",
        touches=("memory",),
    ),
    sabotage(
        "an app that answers 200 to everything",
        MAIN,
        MAKE_APP,
        MAKE_APP + BE_NICE_TO_ALL,
        "BOOT007",
        "REP004",
        "RES006",
        "RST010",
        "RST011",
        touches=("startup", "restarts"),
    ),
    # Right ways of another kind: nothing may fail.
    sabotage("redirect by 302", CADDY, "{host}{uri} 308", "{host}{uri} 302", touches=("TLS001", "TLS008")),
    sabotage(
        "two years of hsts, with subdomains",
        CADDY,
        '"max-age=31536000"',
        '"max-age=63072000; includeSubDomains; preload"',
        touches=("TLS003",),
    ),
    sabotage(
        "a foreign host is forbidden",
        CADDY,
        "\trespond 421\n",
        "\trespond 403\n",
        touches=("TLS001", "TLS008"),
    ),
    sabotage(
        "the sites in another order",
        CADDY,
        HTTP_SITE,
        "",
        more=(Change(file=CADDY, old=HTTPS_SITE, new=f"{HTTP_SITE}\n{HTTPS_SITE}"),),
        touches=("TLS001", "TLS003", "TLS004", "TLS008"),
    ),
    sabotage(
        "caddy by a nice command of short options",
        CONF,
        RUN_CADDY,
        "command=nice -n 1 caddy run -c=deploy/Caddyfile --adapter=caddyfile\n",
        server="uvicorn",
        touches=("RST002", "TLS001", "TLS015"),
    ),
    sabotage(
        "the app knows its names too",
        APP,
        TRUST,
        f"    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[settings.domain])\n{TRUST}",
        more=(
            Change(
                file=APP,
                old="from uvicorn.middleware",
                new="from starlette.middleware.trustedhost import TrustedHostMiddleware\nfrom uvicorn.middleware",
            ),
        ),
        touches=("RES001", "RST010", "TLS004", "TLS006", "TLS008"),
    ),
    sabotage(
        "no documentation in production",
        APP,
        TITLE,
        f"{TITLE}        docs_url=None,\n        redoc_url=None,\n        openapi_url=None,\n",
        touches=("BOOT008", "RST005", "TLS004"),
    ),
    sabotage(
        "another socket",
        GUNICORN,
        "var/run/app.sock",
        "var/run/notes/http",
        more=(
            Change(file=CADDY, old="var/run/app.sock", new="var/run/notes/http"),
            Change(file=START, old="mkdir -p var/data", new="mkdir -p var/run/notes var/data"),
        ),
        touches=("RST002", "RST007", "TLS006", "TLS007"),
    ),
    sabotage(
        "health is asked elsewhere, and answered without words",
        HEALTH,
        '@router.get("/live")\nasync def live() -> dict[str, str]:\n',
        '@router.get("/z", status_code=204)\nasync def live() -> None:\n',
        more=(
            Change(file=HEALTH, old='    return {"status": "alive"}\n', new=""),
            Change(file=PYPROJECT, old='live = "/health/live"', new='live = "/health/z"'),
        ),
        touches=("BOOT002", "BOOT007", "PRE001", "RST010"),
    ),
    sabotage(
        "only an exit with status 99 is expected",
        CONF,
        RESTART,
        "autorestart=unexpected\nexitcodes=99\n",
        touches=("RST002", "RST003", "RST007"),
    ),
    sabotage(
        "a slow start, and a manager that knows",
        MAIN,
        MAKE_APP,
        f"__import__('time').sleep(1.5)\n{MAKE_APP}",
        more=(Change(file=CONF, old=STARTSECS, new="startsecs=6\n"),),
        touches=("BOOT002", "BOOT004", "BOOT006", "RST001"),
    ),
    sabotage(
        "supervisor's sections in another order, with other comments",
        CONF,
        SUPERVISORCTL,
        "",
        server="uvicorn",
        more=(
            Change(file=CONF, old="[supervisord]\n", new=f"{SUPERVISORCTL}\n[supervisord]\n"),
            Change(
                file=CONF,
                old="autorestart=true\nstartsecs=1\n",
                new="# startsecs=9 ; [program:app]\nstartsecs: 1\n",
            ),
            Change(
                file=CONF,
                old="[program:proxy]\n",
                new="[program:proxy] ; autorestart=false\nautorestart = true\n",
            ),
        ),
        touches=("RST001", "RST003", "RST007"),
    ),
    sabotage(
        "logs in plain text",
        LOGS,
        '"formatter": "json"}',
        '"formatter": "plain"}',
        more=(
            Change(
                file=LOGS,
                old='{"json": {"()": JsonFormatter}}',
                new='{"plain": {"format": "%(asctime)s %(levelname)s %(message)s"}}',
            ),
        ),
        touches=("BOOT006", "RES005"),
    ),
    sabotage(
        "no database is declared",
        PYPROJECT,
        'database_url = "$DATABASE_URL"\n',
        "",
        touches=("BOOT007", "PRE001", "PRE004", "RST005", "RST010"),
    ),
    sabotage(
        "the database at an absolute path",
        ".env",
        "sqlite+aiosqlite:///var/data/notes_api.db",
        "sqlite+aiosqlite:////srv/notes/notes.db",
        server="uvicorn",
        touches=("BOOT004", "PRE001", "PRE002", "RST010"),
    ),
    Sabotage(
        id="the package beside pyproject.toml, without src",
        caught_by=frozenset(),
        moves=(("src/notes_api", "notes_api"),),
        changes=(
            Change(file=START, old=PYTHONPATH, new='PYTHONPATH="$PWD'),
            Change(file=STEPS, old=PYTHONPATH, new='PYTHONPATH="$PWD'),
            Change(file=PYPROJECT, old='packages = ["src/notes_api"]', new='packages = ["notes_api"]'),
        ),
        touches=("BOOT002", "PRE001", "PRE002", "RST001"),
    ),
]
