"""Broken memory."""

from harness import FORKED, Change, sabotage

OBSERVATION = "src/notes_api/observation.py"
GUARD = "deploy/guard.py"
GUNICORN = "deploy/gunicorn.conf.py"
CONF = "deploy/supervisord.conf"
LIMIT = "MEMORY_LIMIT_MB=512"
BITE = "biggest.send(signal.SIGKILL,"
SHARE = "SHARE_MB = 0.7 * LIMIT_MB / COUNT\n"
ASK = "        biggest.asked_to_go = True\n        biggest.send(signal.SIGTERM,"
ASK_ALL = (
    "        for biggest in workers:\n            biggest.asked_to_go = True; biggest.send(signal.SIGTERM,"
)
PROGRAM = "command=python deploy/guard.py\n"
LAST_LINE = "control_socket_disable = True\n"
METHODS = 'METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}\n'
RECORD = '    method = scope["method"] if scope["method"] in METHODS else "unknown"\n'
# Written to: pages that nobody has touched are no memory, as with bytes(10_000).
KEEP = RECORD + '    KEPT.append(b"x" * 10_000)\n'

SABOTAGES = [
    sabotage("limit too low", ".env", LIMIT, "MEMORY_LIMIT_MB=128", "MEM001"),
    sabotage("a later line lowers the limit", ".env", LIMIT, f"{LIMIT}\nMEMORY_LIMIT_MB=128", "MEM001"),
    sabotage(
        "the right limit is only in a comment",
        ".env",
        LIMIT,
        f"# {LIMIT}\nMEMORY_LIMIT_MB=128",
        "MEM001",
        server="uvicorn",
    ),
    sabotage(
        "a list grows with each request",
        OBSERVATION,
        METHODS,
        METHODS + "KEPT = []\n",
        "MEM005",
        more=(Change(file=OBSERVATION, old=RECORD, new=KEEP),),
    ),
    sabotage(
        "small objects are kept of each request",
        OBSERVATION,
        METHODS,
        METHODS + "KEPT = []\n",
        "MEM005",
        server="uvicorn",
        more=(
            Change(
                file=OBSERVATION,
                old=RECORD,
                new=RECORD + "    KEPT.append([float(number) for number in range(300)])\n",
            ),
        ),
    ),
    sabotage(
        "the path is a label of the metrics",
        OBSERVATION,
        'route = getattr(scope.get("route"), "path", "unknown")',
        'route = scope["path"]',
        "MEM005",
    ),
    sabotage("the guard asks whom it should end", GUARD, BITE, "biggest.send(signal.SIGTERM,", "MEM002"),
    sabotage(
        "the guard asks the uvicorn that it should end",
        GUARD,
        BITE,
        "biggest.send(signal.SIGTERM,",
        "MEM002",
        server="uvicorn",
    ),
    sabotage(
        "the limit is not read",
        GUARD,
        'int(os.environ["MEMORY_LIMIT_MB"])',
        "4096",
        "MEM002",
        "MEM003",
    ),
    sabotage(
        "the guard is written but not started",
        CONF,
        PROGRAM,
        PROGRAM + "autostart=false\n",
        "RST004",
        "MEM002",
        "MEM003",
        server="uvicorn",
    ),
    sabotage(
        "the kernel refuses what is too much",
        GUARD,
        BITE,
        "biggest.send(signal.SIGTERM,",
        more=(
            Change(
                file=GUNICORN,
                old=FORKED,
                new=f"{FORKED}    import resource\n\n"
                "    resource.setrlimit(resource.RLIMIT_DATA, (600 << 20, 600 << 20))\n",
            ),
        ),
    ),
    sabotage("nobody is recycled", GUARD, SHARE, SHARE.replace("0.7", "7"), "MEM003"),
    sabotage(
        "a later share is too large",
        GUARD,
        SHARE,
        SHARE + "SHARE_MB = 10 * LIMIT_MB\n",
        "MEM003",
        server="uvicorn",
    ),
    sabotage(
        "who leaks is killed",
        GUARD,
        "biggest.send(signal.SIGTERM,",
        "biggest.send(signal.SIGKILL,",
        "MEM003",
    ),
    sabotage("all are recycled at once", GUARD, ASK, ASK_ALL, "MEM004"),
    sabotage("gunicorn keeps quiet", GUNICORN, LAST_LINE, LAST_LINE + 'loglevel = "critical"\n', "MEM006"),
    sabotage(
        "gunicorn's log is thrown away", GUNICORN, LAST_LINE, LAST_LINE + 'errorlog = "/dev/null"\n', "MEM006"
    ),
    sabotage(
        "supervisor keeps quiet",
        CONF,
        "nodaemon=true\n",
        "nodaemon=true\nloglevel=error\n",
        "MEM006",
        server="uvicorn",
    ),
    sabotage(
        "supervisor tells only of what is unusual",
        CONF,
        "nodaemon=true\n",
        "nodaemon=true\nloglevel=warn\n",
        server="uvicorn",
    ),
    sabotage(
        "the last hundred requests are kept",
        OBSERVATION,
        METHODS,
        METHODS + "KEPT = collections.deque(maxlen=100)\n",
        more=(
            Change(file=OBSERVATION, old=RECORD, new=KEEP),
            Change(file=OBSERVATION, old="import logging\n", new="import collections\nimport logging\n"),
        ),
    ),
]
