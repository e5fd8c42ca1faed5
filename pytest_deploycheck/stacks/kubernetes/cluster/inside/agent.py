"""Tells which processes a container has, reads what the kernel says of them, and sends signals, as it is asked.

It is no part of the app: it hangs outside of the process tree whose root is the container's first process.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from typing import Any

from deploycheck_mark import number_of  # type: ignore[import-not-found]  # it stands before this file's text

EVERY_S, AT_LEAST_S = 0.2, 2.0
lock = threading.Lock()


def read(path: str) -> str:
    """Return the text of a file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def links(folder: str) -> list[str]:
    """Return where the links of a folder lead."""
    found = []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # a file was closed meanwhile
            found.append(os.readlink(f"{folder}/{name}"))
    return found


def say(**what: Any) -> None:
    """Print one line."""
    with lock:
        print(json.dumps(what), flush=True)


def table() -> dict[int, list[Any]]:
    """Return parent, state and command line of each process, by pid."""
    found: dict[int, list[Any]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            state, parent, *_ = read(f"/proc/{name}/stat").rpartition(")")[2].split()
            found[int(name)] = [int(parent), state, read(f"/proc/{name}/cmdline").replace("\0", " ").strip()]
        except OSError:
            pass  # it has ended meanwhile
    return found


def obey(line: str) -> None:
    """Do what was asked for: a signal, a file, or the links of a folder."""
    order = json.loads(line)
    try:
        if "signal" in order:
            os.kill(order["pid"], order["signal"])
            say(answer=order["order"])
        elif "folder" in order:
            say(answer=order["order"], text="\n".join(links(order["folder"])))
        else:
            say(answer=order["order"], text=read(order["file"]))
    except OSError as error:
        say(answer=order["order"], error=str(error), number=error.errno)


def watch() -> None:
    """Print the table whenever it has changed, and now and then."""
    last: dict[int, list[Any]] = {}
    said = 0.0
    while True:
        now = table()
        if now != last or time.monotonic() > said + AT_LEAST_S:
            last, said = now, time.monotonic()
            say(first=number_of(1), processes=now, own=os.getpid())
        time.sleep(EVERY_S)


threading.Thread(target=watch, daemon=True).start()
for words in sys.stdin:
    obey(words)
os._exit(0)
