"""Drops the databases that a run has made on a server that is not its own. The guardian runs it as a script.

Its argument is a file that tells how to connect, where that is, and how the names of the run's databases begin.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import psycopg
from psycopg import sql

OURS = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
NAMES = "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"


def drop(conninfo: str, prefix: str) -> None:
    """Drop all databases whose names begin so; before that end what the run itself may still do there."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        while connection.execute(OURS, [prefix]).fetchall():
            time.sleep(0.05)
        for (name,) in connection.execute(NAMES, [prefix]).fetchall():
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def main() -> None:
    """Drop them, or say in one line what is left and where."""
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    try:
        drop(order["conninfo"], order["prefix"])
    except psycopg.Error as error:
        reason = " ".join(str(error).split())
        sys.exit(f"deploycheck: databases {order['prefix']}... are left on {order['place']}: {reason}")


if __name__ == "__main__":
    main()
