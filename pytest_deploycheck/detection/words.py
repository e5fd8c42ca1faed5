"""What the words of a server's command say: the server, the app, the port, the workers, the path prefix."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

SERVERS = ("gunicorn", "uvicorn", "fastapi", "hypercorn", "daphne", "granian")
USUAL_PORT = 8000
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*(\(\))?")
_NAME = re.compile(r"\$\{(\w+)(?::?-([^}]*))?\}|\$(\w+)")
_PORT = re.compile(r"(?:^|:)(\d+)$")


@dataclass(frozen=True, kw_only=True)
class ServerWords:
    """A server's command, as far as its words tell.

    Attributes:
        server: its name.
        target: ``module:attribute``, as it is written; None if the words do not say.
        port: None if the words do not say.
        socket: the unix socket on which it listens, None for TCP.
        workers: the number, or ``$NAME`` of the variable that holds it; None if the words do not say.
        workers_otherwise: the number where that variable is not set.
        root_path: the public path prefix.
        before: commands that a shell runs before it.
        has_parent: whether a process of the server watches those that serve.
    """

    server: str
    target: str | None
    port: int | None
    socket: str | None
    workers: str | None
    workers_otherwise: str
    root_path: str
    before: str
    has_parent: bool


def server_words(line: str, environment: Mapping[str, str]) -> ServerWords | None:
    """Return what a command says, None if it starts no server that is known."""
    plain = _words(line)
    at = next((index for index, word in enumerate(plain) if word.rpartition("/")[2] in SERVERS), None)
    if at is None:
        return None
    server = plain[at].rpartition("/")[2]
    raw = plain[at + 1 :]
    words = [expanded(word, environment) for word in raw]
    if server == "fastapi" and "run" not in words and "dev" not in words:
        return None
    workers = _option(raw, "--workers", "-w")
    bind = _option(words, "--bind", "-b") or ""
    otherwise = expanded(workers or "", {})
    workers = workers and re.sub(r"^\$\{(\w+)(:?-[^}]*)?\}$", r"$\1", workers)
    number = _option(words, "--workers", "-w") or environment.get("WEB_CONCURRENCY", "")
    return ServerWords(
        server=server,
        target=next((word for word in words if _TARGET.fullmatch(word)), None),
        port=_port(_option(words, "--port", "-p") or bind),
        socket=_option(words, "--uds", "-u")
        or (bind.removeprefix("unix:") if bind.startswith("unix:") else None),
        workers=workers,
        workers_otherwise=otherwise,
        root_path=_option(words, "--root-path", "--root_path") or "",
        before=_before(line, plain[at]),
        has_parent=server in ("gunicorn", "hypercorn") or (number.isdecimal() and int(number) > 1),
    )


def expanded(word: str, environment: Mapping[str, str]) -> str:
    """Expand ``$NAME``, ``${NAME}`` and ``${NAME:-default}`` as a shell or a compose file does."""
    return _NAME.sub(lambda found: environment.get(found[1] or found[3]) or found[2] or "", word)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line, comments=True)
    except ValueError:
        return line.split()


def _option(words: list[str], *names: str) -> str | None:
    for index, word in enumerate(words):
        for name in names:
            if word == name and index + 1 < len(words):
                return words[index + 1]
            if word.startswith(f"{name}="):
                return word.partition("=")[2]
    return None


def _port(text: str) -> int | None:
    found = _PORT.search(text)
    return int(found[1]) if found else None


def _before(line: str, server: str) -> str:
    """Return what is left of the ``&&`` or ``;`` before the server."""
    head = line.partition(server)[0]
    cut = max(head.rfind("&&"), head.rfind(";"))
    return head[:cut].strip() if cut > 0 else ""
