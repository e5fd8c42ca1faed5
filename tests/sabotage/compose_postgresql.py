"""Broken Compose files with a database of their own, and the checks that must catch each; right ones, too."""

from functools import partial

from harness import Change
from harness import sabotage as plain

FILE = "compose.yaml"
SETTINGS = "src/notes_api/settings.py"
ENV = "migrations/env.py"
DATABASE = "src/notes_api/database.py"
CONDITION = "      database: {condition: service_healthy}\n"
WAIT = f"    depends_on:\n{CONDITION}"
IMPATIENT = Change(file=ENV, old="PATIENCE_S = 60", new="PATIENCE_S = 0")
DATA = "      - database:/var/lib/postgresql\n"
MAX = "max_connections=100"

sabotage = partial(plain, answers=(("database", "postgresql"),))

SABOTAGES = [
    sabotage(
        "postgresql: previous steps that wait for nothing, and for nobody",
        FILE,
        WAIT,
        "",
        "BOOT002",
        more=(IMPATIENT,),
    ),
    sabotage(
        "postgresql: pools that are larger together than what the server takes",
        DATABASE,
        "max(1, settings.database_connections // settings.web_concurrency),\n        max_overflow=0",
        "settings.database_connections,\n        max_overflow=settings.database_connections",
        "REP007",
        # Each of the two workers may have eight, where all of them should have four.
        more=(
            Change(file=FILE, old=MAX, new="max_connections=14"),
            Change(file=".env", old="DATABASE_CONNECTIONS=20", new="DATABASE_CONNECTIONS=4"),
        ),
    ),
    sabotage("postgresql: no volume for the data", FILE, DATA, "", "BOOT004"),
    # Right ones.
    sabotage(
        "postgresql: the previous steps alone wait for the database",
        FILE,
        CONDITION,
        CONDITION.replace("healthy", "started"),
        touches=("BOOT003", "PRE003"),
    ),
    sabotage(
        "postgresql: the file alone waits for the database",
        ENV,
        "PATIENCE_S = 60",
        "PATIENCE_S = 0",
        touches=("BOOT003", "PRE003", "BOOT004"),
    ),
]
