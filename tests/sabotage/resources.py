"""Broken resource utilization."""

from harness import Change, sabotage

START = "deploy/start"
METRICS = "src/notes_api/metrics.py"
OBSERVATION = "src/notes_api/observation.py"
NOTES = "src/notes_api/notes.py"
DIRECTORY = 'export PROMETHEUS_MULTIPROC_DIR="$PWD/var/metrics"'
LATENCY = "    latency.observe(seconds)\n"
APPLICATION = "src/notes_api/application.py"
OVERLOAD = "src/notes_api/overload.py"
CONF = "deploy/supervisord.conf"
FIND = "    found = await session.scalars("
LOG = "stdout_logfile=%(here)s/../var/log/app.log\n"
SIZE = f"{LOG}stdout_logfile_maxbytes=5MB\n"
KEPT = f"{SIZE}stdout_logfile_backups=5\n"
STDOUT = '"()": TogetherHandler, "stream": "ext://sys.stdout"'
REFUSE = (
    '            refusal = JSONResponse({"detail": "too busy, try again"}, status_code=503, '
    'headers={"Retry-After": "1"})'
    "\n            await refusal(scope, receive, send)\n            return\n"
)
SUPERVISE = "exec supervisord -n -c deploy/supervisord.conf"
WITH_ASYNCIO = Change(
    file=OVERLOAD, old="from starlette.responses", new="import asyncio\n\nfrom starlette.responses"
)

SABOTAGES = [
    sabotage("each worker counts alone", START, DIRECTORY, f"# {DIRECTORY}", "RES001"),
    sabotage("each process counts alone", START, DIRECTORY, f"# {DIRECTORY}", "RES001", server="uvicorn"),
    sabotage("no memory in the metrics", METRICS, "        yield memory\n", "", "RES001"),
    sabotage("no CPU time in the metrics", METRICS, "        yield cpu\n", "", "RES001", server="uvicorn"),
    sabotage("latency is not measured", OBSERVATION, LATENCY, "", "RES001"),
    sabotage(
        "only the first worker's memory",
        METRICS,
        "                for sample in metric.samples:",
        "                for sample in metric.samples[:1]:",
        "RES001",
    ),
    sabotage("no metrics are declared", "pyproject.toml", 'metrics = "/metrics"\n', "", "RES001"),
    sabotage("slow work in the event loop", NOTES, "\ndef seal(", "\nasync def seal(", "RES003"),
    sabotage(
        "slow work in the event loop of each process",
        NOTES,
        "\ndef seal(",
        "\nasync def seal(",
        "RES003",
        server="uvicorn",
    ),
    sabotage(
        "metrics are somewhere else",
        METRICS,
        '@router.get("/metrics")',
        '@router.get("/internal/figures")',
        more=(
            Change(file="pyproject.toml", old='metrics = "/metrics"', new='metrics = "/internal/figures"'),
            Change(
                file="deploy/Caddyfile",
                old="handle {$PATH_PREFIX}/metrics*",
                new="handle {$PATH_PREFIX}/internal/*",
            ),
        ),
    ),
    sabotage(
        "neither a slow request nor a limit is declared",
        "pyproject.toml",
        'heavy = "/notes/seal"\n',
        "",
        server="uvicorn",
        more=(Change(file="pyproject.toml", old='memory_limit_mb = "$MEMORY_LIMIT_MB"\n', new=""),),
    ),
    sabotage(
        "requests wait for one lock",
        NOTES,
        FIND,
        f"    async with ALONE:\n        await asyncio.sleep(0.05)\n{FIND}",
        "RES002",
        more=(
            Change(file=NOTES, old="import hashlib\n", new="import asyncio\nimport hashlib\n"),
            Change(file=NOTES, old="SEAL_ITERATIONS =", new="ALONE = asyncio.Lock()\nSEAL_ITERATIONS ="),
        ),
    ),
    sabotage(
        "a blocking call in the event loop",
        NOTES,
        FIND,
        f"    time.sleep(0.05)\n{FIND}",
        "RES002",
        server="uvicorn",
        more=(Change(file=NOTES, old="import secrets\n", new="import secrets\nimport time\n"),),
    ),
    sabotage(
        "reads are done in threads",
        NOTES,
        FIND,
        f"    await asyncio.to_thread(time.sleep, 0.002)\n{FIND}",
        more=(
            Change(
                file=NOTES,
                old="import hashlib\nimport secrets\n",
                new="import asyncio\nimport hashlib\nimport secrets\nimport time\n",
            ),
        ),
    ),
    sabotage(
        "the start command lowers the limit of open files",
        CONF,
        "command=gunicorn -c deploy/gunicorn.conf.py notes_api.main:app",
        "command=sh -c 'ulimit -n 150; exec gunicorn -c deploy/gunicorn.conf.py notes_api.main:app'",
        "RES004",
    ),
    sabotage(
        "each process may open few files",
        CONF,
        "command=uvicorn",
        "command=sh -c 'ulimit -S -n 150; exec uvicorn",
        "RES004",
        server="uvicorn",
        more=(
            Change(file=CONF, old="--timeout-graceful-shutdown 25", new="--timeout-graceful-shutdown 25'"),
        ),
    ),
    sabotage(
        "the manager's own limit of open files",
        CONF,
        "minfds=4096\n",
        "",
        server="uvicorn",
    ),
    sabotage("the log is not rotated", CONF, SIZE, f"{LOG}stdout_logfile_maxbytes=0\n", "RES005"),
    sabotage(
        "no rotated log is kept", CONF, KEPT, f"{SIZE}stdout_logfile_backups=0\n", "RES005", server="uvicorn"
    ),
    sabotage(
        "the size of the log is only in a comment",
        CONF,
        SIZE,
        f"{LOG};stdout_logfile_maxbytes=5MB\nstdout_logfile_maxbytes=0\n",
        "RES005",
        server="uvicorn",
    ),
    sabotage(
        "the size of the log is in another section",
        CONF,
        SIZE,
        f"{LOG}stdout_logfile_maxbytes=0\n",
        "RES005",
        more=(Change(file=CONF, old="minfds=4096\n", new="minfds=4096\nstdout_logfile_maxbytes=5MB\n"),),
    ),
    sabotage(
        "a later size of the log wins",
        CONF,
        KEPT,
        f"{KEPT}stdout_logfile_maxbytes=0\n",
        "RES005",
        server="uvicorn",
    ),
    sabotage(
        "the app writes a file of its own",
        "src/notes_api/logs.py",
        STDOUT,
        '"class": "logging.FileHandler", "filename": "var/log/own.log"',
        "RES005",
    ),
    sabotage(
        "logs go to standard output", CONF, KEPT, "stdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0\n"
    ),
    sabotage("the log has Supervisor's own size", CONF, KEPT, LOG, server="uvicorn"),
    sabotage("nothing is refused", APPLICATION, "    app.add_middleware(OverloadMiddleware)\n", "", "RES006"),
    sabotage(
        "the limit is far too high",
        OVERLOAD,
        "PROGRESS = 16",
        "PROGRESS = 16_000",
        "RES006",
        server="uvicorn",
    ),
    sabotage("refused as an error of the server", OVERLOAD, "status_code=503", "status_code=500", "RES006"),
    sabotage(
        "too many requests wait",
        OVERLOAD,
        f"        if self.in_progress >= self.limit or (on_its_way and self.on_their_way >= self.bodies):\n{REFUSE}",
        "        while self.in_progress >= self.limit:\n            await asyncio.sleep(0.01)\n",
        "RES006",
        server="uvicorn",
        more=(WITH_ASYNCIO,),
    ),
    sabotage(
        "refused after a long wait",
        OVERLOAD,
        REFUSE,
        f"            await asyncio.sleep(8)\n{REFUSE}",
        "RES006",
        more=(WITH_ASYNCIO,),
    ),
    sabotage(
        "health is refused under load",
        OVERLOAD,
        'ALWAYS = ("/health/", "/metrics")',
        'ALWAYS = ("/nothing",)',
        "RES003",
    ),
    sabotage(
        "refused as too many by the routes",
        NOTES,
        "dependencies=[Depends(_authorized)]",
        "dependencies=[Depends(_a_place), Depends(_authorized)]",
        more=(
            Change(file=APPLICATION, old="    app.add_middleware(OverloadMiddleware)\n", new=""),
            Change(
                file=NOTES,
                old="\n\nrouter = ",
                new="""\n\nTAKEN = []\n\n
async def _a_place() -> AsyncIterator[None]:
    if len(TAKEN) >= 12:
        raise HTTPException(status.HTTP_429_TOO_MANY_REQUESTS)
    TAKEN.append(1)
    try:
        yield
    finally:
        TAKEN.pop()


router = """,
            ),
            Change(file=NOTES, old="import Sequence", new="import AsyncIterator, Sequence"),
        ),
    ),
    sabotage(
        "a request needs a line in a file",
        NOTES,
        FIND,
        f"    with open('var/log/audit.log', 'a') as audit:\n        audit.write('notes were listed\\n')\n{FIND}",
        "RES007",
    ),
    sabotage(
        "what the manager complains of goes nowhere", START, SUPERVISE, f"{SUPERVISE} 2>/dev/null", "RES007"
    ),
    sabotage(
        "a write needs a line in a file",
        NOTES,
        "    await session.commit()\n",
        "    await session.commit()\n"
        "    with open('var/log/audit.log', 'a') as audit:\n        audit.write('written\\n')\n",
        "RES007",
        server="uvicorn",
    ),
]
