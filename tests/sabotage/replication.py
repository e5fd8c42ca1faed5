"""Broken replication."""

from harness import FORKED, Change, sabotage

GUNICORN = "deploy/gunicorn.conf.py"
CONF = "deploy/supervisord.conf"
NOTES = "src/notes_api/notes.py"
CLASS = 'worker_class = "asgi"\n'
NUMPROCS = "numprocs=%(ENV_WEB_CONCURRENCY)s"
READ = "note = await session.get(Note, note_id)"
STEPS = "deploy/previous-steps"
MAINTAIN = "maintain(settings.database_url)"
APPLICATION = "src/notes_api/application.py"
MAIN = "src/notes_api/main.py"
FIND = "    found = await session.scalars("
LIFESPAN = "    metrics.register_worker()\n"
IMPORT = "from notes_api.maintenance import maintain\n"

SABOTAGES = [
    sabotage(
        "never less than three workers",
        GUNICORN,
        CLASS,
        CLASS + 'workers = max(int(os.environ["WEB_CONCURRENCY"]), 3)\n',
        "REP001",
    ),
    sabotage("always three processes", CONF, NUMPROCS, "numprocs=3", "REP001", server="uvicorn"),
    sabotage(
        "one worker for everything",
        GUNICORN,
        CLASS,
        CLASS + "workers = 1\n",
        "REP001",
        "REP002",
    ),
    sabotage("workers are a number in the file", GUNICORN, CLASS, CLASS + "workers = 2\n", "REP002"),
    sabotage(
        "the setting is only in a comment",
        GUNICORN,
        CLASS,
        CLASS + '# workers = int(os.environ["WEB_CONCURRENCY"])\nworkers = 2\n',
        "REP002",
    ),
    sabotage("processes are a number in the file", CONF, NUMPROCS, "numprocs=2", "REP002", server="uvicorn"),
    sabotage(
        "the setting is in another section",
        CONF,
        NUMPROCS,
        f"numprocs=2\n\n[x-program:app]\n{NUMPROCS}\n\n[fcgi-program:app]",
        "REP002",
        server="uvicorn",
    ),
    sabotage(
        "notes are read from a variable of the worker",
        NOTES,
        READ,
        "note = WRITTEN.get(note_id)",
        "REP004",
        more=(
            Change(
                file=NOTES, old="SEAL_ITERATIONS = 250_000", new="SEAL_ITERATIONS = 400_000\nWRITTEN = {}"
            ),
            Change(
                file=NOTES,
                old="    await session.commit()\n",
                new="    await session.commit()\n    WRITTEN[note.id] = note\n",
            ),
        ),
    ),
    sabotage(
        "each worker has its own text",
        NOTES,
        '    return ReadNote.model_validate(note)\n\n\n@router.get("")',
        '    WRITTEN[note.id] = ReadNote.model_validate(note)\n    return WRITTEN[note.id]\n\n\n@router.get("")',
        "REP004",
        server="uvicorn",
        more=(
            Change(
                file=NOTES, old="SEAL_ITERATIONS = 250_000", new="SEAL_ITERATIONS = 400_000\nWRITTEN = {}"
            ),
            Change(
                file=NOTES,
                old="    if note is None:",
                new='    if note_id in WRITTEN:\n        return WRITTEN[note_id].model_copy(update={"text": "cached"})'
                "\n    if note is None:",
            ),
        ),
    ),
    sabotage("three workers by the setting", ".env", "WEB_CONCURRENCY=2", "WEB_CONCURRENCY=3"),
    sabotage(
        "three processes by a later line of the setting",
        ".env",
        "WEB_CONCURRENCY=2",
        "WEB_CONCURRENCY=1\nWEB_CONCURRENCY=3",
        server="uvicorn",
    ),
    sabotage(
        "each answer tells the time",
        NOTES,
        "    if note is None:",
        "    if note is not None:\n        note.created_at = datetime.now()\n    if note is None:",
    ),
    sabotage(
        "one of the workers blocks while it reads",
        NOTES,
        FIND,
        f"    if is_slow():\n        time.sleep(0.1)\n{FIND}",
        "REP003",
        more=(
            Change(
                file=NOTES,
                old="SEAL_ITERATIONS = 250_000\n",
                new="""SEAL_ITERATIONS = 250_000\n\n
@functools.cache
def is_slow() -> bool:
    try:
        os.mkdir("var/run/slow")
    except FileExistsError:
        return False
    return True
""",
            ),
            Change(
                file=NOTES,
                old="import hashlib\nimport secrets\n",
                new="import functools\nimport hashlib\nimport os\nimport secrets\nimport time\n",
            ),
        ),
    ),
    sabotage(
        "one-off work in each worker's lifespan",
        APPLICATION,
        LIFESPAN,
        f"{LIFESPAN}    maintenance.maintain(app.state.settings.database_url)\n",
        "REP005",
        more=(
            Change(file=APPLICATION, old="import health, metrics", new="import health, maintenance, metrics"),
        ),
    ),
    sabotage(
        "one-off work at each import",
        MAIN,
        "app = create_app(settings)\n",
        "maintain(settings.database_url)\napp = create_app(settings)\n",
        "REP005",
        server="uvicorn",
        more=(
            Change(
                file=MAIN, old="from notes_api import logs\n", new=f"from notes_api import logs\n{IMPORT}"
            ),
        ),
    ),
    sabotage(
        "one-off work after each fork",
        GUNICORN,
        FORKED,
        f"{FORKED}    {IMPORT}    from notes_api.settings import load\n    maintain(load().database_url)\n",
        "REP005",
        more=(Change(file=STEPS, old=MAINTAIN, new=f"# {MAINTAIN}"),),
    ),
    sabotage(
        "one-off work is only in a comment", STEPS, MAINTAIN, f"# {MAINTAIN}", "REP005", server="uvicorn"
    ),
    sabotage(
        "one-off work as a command of its own",
        STEPS,
        MAINTAIN,
        'import subprocess, sys\nsubprocess.run([sys.executable, "-m", "notes_api.maintenance"], check=True)',
        more=(
            Change(
                file="src/notes_api/maintenance.py",
                old="import sqlite3\n",
                new="import os\nimport sqlite3\n",
            ),
            Change(
                file="src/notes_api/maintenance.py",
                old='connection.execute("PRAGMA optimize=0x10002")\n',
                new='connection.execute("PRAGMA optimize=0x10002")\n\n\nif __name__ == "__main__":\n'
                '    maintain("sqlite+aiosqlite:///var/data/notes_api.db")\n',
            ),
        ),
    ),
    sabotage(
        "no one-off work is declared",
        "pyproject.toml",
        'once = ["notes_api.maintenance:maintain", "notes_api.maintenance:seed"]\n',
        "",
        server="uvicorn",
    ),
    sabotage(
        "all workers on one CPU",
        GUNICORN,
        FORKED,
        f"{FORKED}    os.sched_setaffinity(0, {{min(os.sched_getaffinity(0))}})\n",
        "REP006",
        more=(Change(file=".env", old="WEB_CONCURRENCY=2", new="WEB_CONCURRENCY=4"),),
    ),
    sabotage(
        "more processes than one CPU can use",
        ".env",
        "WEB_CONCURRENCY=2",
        "WEB_CONCURRENCY=4",
        "REP006",
        server="uvicorn",
        cpus=1,
    ),
    sabotage(
        "one worker on one CPU", ".env", "WEB_CONCURRENCY=2", "WEB_CONCURRENCY=1", server="uvicorn", cpus=1
    ),
    sabotage("as many workers as CPUs", ".env", "WEB_CONCURRENCY=2", "WEB_CONCURRENCY=auto", cpus=1),
    sabotage(
        "as many processes as CPUs",
        ".env",
        "WEB_CONCURRENCY=2",
        "WEB_CONCURRENCY=auto",
        server="uvicorn",
        cpus=2,
    ),
]
