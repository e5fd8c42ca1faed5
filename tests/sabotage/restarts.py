"""Broken restarts."""

from harness import Change, sabotage

CONF = "deploy/supervisord.conf"
GUNICORN = "deploy/gunicorn.conf.py"
MAIN = "src/notes_api/main.py"
HEALTH = "src/notes_api/health.py"
HEARTBEAT = "src/notes_api/heartbeat.py"
GUARD = "deploy/guard.py"
RELOAD = "deploy/reload"
CHECK = "deploy/health.py"
PYPROJECT = "pyproject.toml"

LAST_LINE = "control_socket_disable = True\n"
APP = "app = create_app(settings)\n"
GUNICORN_COMMAND = "command=gunicorn -c deploy/gunicorn.conf.py notes_api.main:app\n"
LIVE = "async def live() -> dict[str, str]:\n"
RESTART = "(RST003).\nautorestart=true\n"
HANG = "HANG_S = 10\n"
STARTSECS = "(BOOT006).\nstartsecs=3\n"
RELOADED = "workers=$(ls var/run/workers)\n"
HEALTH_CHECK = 'health_check = "python deploy/health.py"\n'
IN_A_THREAD = """\
    def touch_on() -> None:
        while True:
            _touch(file)
            time.sleep(EVERY_S)

    threading.Thread(target=touch_on, daemon=True).start()
    task = asyncio.create_task(asyncio.sleep(3600))
"""

SABOTAGES = [
    sabotage(
        "a dead worker is replaced by two",
        GUNICORN,
        LAST_LINE,
        LAST_LINE + "\n\ndef child_exit(server, worker):\n    server.num_workers += 1\n",
        "RST001",
    ),
    sabotage(
        "uvicorn's workers outlive their parent",
        CONF,
        GUNICORN_COMMAND,
        "command=uvicorn notes_api.main:app --uds var/run/app.sock --workers %(ENV_WEB_CONCURRENCY)s"
        " --no-proxy-headers\n",
        "RST002",
    ),
    sabotage("clean exit counts as expected", CONF, RESTART, "(RST003).\nautorestart=unexpected\n", "RST003"),
    sabotage(
        "clean exit of uvicorn counts as expected",
        CONF,
        RESTART,
        "(RST003).\nautorestart=unexpected\n",
        "RST003",
        server="uvicorn",
    ),
    sabotage(
        "the right line is kept in a comment",
        CONF,
        RESTART,
        "(RST003).\n; autorestart=true\nautorestart=unexpected\n",
        "RST003",
    ),
    sabotage(
        "a later duplicate wins",
        CONF,
        "killasgroup=true\n",
        "killasgroup=true\nautorestart=unexpected\n",
        "RST003",
    ),
    sabotage("nothing is restarted", CONF, RESTART, "(RST003).\nautorestart=false\n", "RST002", "RST003"),
    sabotage("the guard is patient with what hangs", GUARD, HANG, "HANG_S = 60\n", "RST004"),
    sabotage(
        "the guard's right line is in a comment",
        GUARD,
        HANG,
        "# HANG_S = 10\nHANG_S = 3600\n",
        "RST004",
        server="uvicorn",
    ),
    sabotage(
        "the sign of life comes from a thread",
        HEARTBEAT,
        "    task = asyncio.create_task(_beat(file))\n",
        IN_A_THREAD,
        "RST004",
        server="uvicorn",
        more=(Change(file=HEARTBEAT, old="import os\n", new="import os\nimport threading\nimport time\n"),),
    ),
    sabotage(
        "gunicorn itself replaces what hangs",
        GUNICORN,
        "timeout = 30\n",
        "timeout = 10\n",
        more=(Change(file=GUARD, old=HANG, new="HANG_S = 3600\n"),),
    ),
    sabotage(
        "a sign of life every three seconds", HEARTBEAT, "EVERY_S = 1\n", "EVERY_S = 3\n", server="uvicorn"
    ),
    sabotage("a crash counts as running", CONF, STARTSECS, "(BOOT006).\nstartsecs=0\n", "RST006"),
    sabotage(
        "a crash of uvicorn counts as running",
        CONF,
        STARTSECS,
        "(BOOT006).\n; startsecs=3\nstartsecs=0\n",
        "RST006",
        server="uvicorn",
    ),
    sabotage(
        "a later startsecs wins",
        CONF,
        "startsecs=3\nstartretries=5\n",
        "startsecs=3\nstartretries=5\nstartsecs=0\n",
        "RST006",
    ),
    sabotage(
        "it tries again for long", CONF, "startsecs=3\nstartretries=5\n", "startsecs=3\nstartretries=100\n"
    ),
    sabotage(
        "it gives up early",
        CONF,
        "startsecs=3\nstartretries=5\n",
        "startsecs=2\nstartretries=1\n",
        server="uvicorn",
    ),
    sabotage(
        "a release restarts everything at once",
        RELOAD,
        RELOADED,
        "exec .venv/bin/supervisorctl -c deploy/supervisord.conf restart all\n" + RELOADED,
        "RST009",
    ),
    sabotage(
        "workers are forks of a parent that has the old code",
        GUNICORN,
        LAST_LINE,
        LAST_LINE + "preload_app = True\n",
        "RST009",
    ),
    sabotage(
        "a release reaches only those who ask",
        RELOAD,
        RELOADED,
        "exit 0\n" + RELOADED,
        "RST009",
        server="uvicorn",
    ),
    sabotage(
        "only the first worker gets the new code",
        RELOAD,
        RELOADED,
        "workers=$(ls var/run/workers | head -n 1)\n",
        "RST009",
    ),
    sabotage(
        "gunicorn replaces all workers together",
        RELOAD,
        RELOADED,
        "exec .venv/bin/supervisorctl -c deploy/supervisord.conf signal HUP app\n" + RELOADED,
    ),
    sabotage(
        "the health check is always content",
        PYPROJECT,
        HEALTH_CHECK,
        "health_check = \"sh -c 'python3 deploy/health.py || true'\"\n",
        "RST011",
    ),
    sabotage(
        "the health check asks for liveness",
        CHECK,
        "/health/ready",
        "/health/live",
        "RST011",
        server="uvicorn",
    ),
    sabotage(
        "the health check looks for a process",
        PYPROJECT,
        HEALTH_CHECK,
        'health_check = "supervisorctl -c deploy/supervisord.conf status app"\n',
        "RST011",
    ),
    sabotage("the health check is the readiness that a load balancer asks", PYPROJECT, HEALTH_CHECK, "\n"),
    sabotage(
        "an error ends the process",
        MAIN,
        APP,
        APP
        + "\n\n@app.exception_handler(RuntimeError)\nasync def give_up(request, error):\n"
        + "    import os\n\n    os._exit(1)\n",
        "RST005",
    ),
    sabotage(
        "something outlives the app",
        GUNICORN,
        LAST_LINE,
        LAST_LINE
        + "\n\ndef on_exit(server):\n    import subprocess\n\n"
        + '    subprocess.Popen(["sleep", "600"], start_new_session=True)\n',
        "RST007",
    ),
    sabotage(
        "a stop that is not graceful",
        CONF,
        "stopwaitsecs=35\nkillasgroup",
        "stopsignal=INT\nkillasgroup",
        "RST008",
    ),
    sabotage(
        "uvicorn gets no time to finish",
        CONF,
        "--timeout-graceful-shutdown 25",
        "--timeout-graceful-shutdown 0",
        "RST008",
        server="uvicorn",
    ),
    sabotage(
        "liveness asks the database",
        HEALTH,
        LIVE,
        "async def live(request: Request, response: Response) -> dict[str, str]:\n",
        "RST010",
        more=(
            Change(
                file=HEALTH,
                old='    return {"status": "alive"}\n',
                new="    return await ready(request, response)\n",
            ),
        ),
    ),
]
