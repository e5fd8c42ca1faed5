"""What the probe inside the app answers below ``/.deploycheck/``: one function for each action.

Imported only once a request for one of them comes.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from deploycheck_asgi import Request, Scope, repeat_messages, send_json  # type: ignore[import-not-found]
from deploycheck_mark import MARK, own_pid  # type: ignore[import-not-found]  # it is on sys.path there
from sitecustomize import GATE_PATIENCE_S, record  # type: ignore[import-not-found]  # this module is imported by it

Action = Callable[[Request], Awaitable[dict[str, Any]]]

MIB = 1024 * 1024
LEAKED: list[bytes] = []


async def answer(scope: Scope, receive: Any, send: Any) -> None:
    """Answer one request: the word after the mark names the action, any other word means ``echo``."""
    if scope["type"] == "websocket":
        await repeat_messages(receive, send)
        return
    request = Request(scope, receive)
    action = ACTIONS.get(scope["path"].partition(MARK)[2], echo)
    await send_json(send, {"pid": own_pid(), **await action(request)})


async def echo(request: Request) -> dict[str, Any]:
    """Say what the app sees of the request, and which release of ``module`` has been imported."""
    module, url = sys.modules.get(request.query_params.get("module", "")), urlsplit(request.url)
    return {
        "release": getattr(module, "deploycheck_release", None),
        "client": request.client,
        "scheme": url.scheme,
        "host": url.hostname,
        "url": request.url,
    }


async def hold(request: Request) -> dict[str, Any]:
    """Answer after ``seconds``, from when the file ``gate`` is there, and leave the event loop to others meanwhile."""
    record("hold")
    gate, patience_s = request.query_params.get("gate"), GATE_PATIENCE_S
    while gate and patience_s > 0 and not os.path.exists(gate):  # noqa: ASYNC240
        await asyncio.sleep(0.05)
        patience_s -= 0.05
    await asyncio.sleep(float(request.query_params["seconds"]))
    return {}


async def block(request: Request) -> dict[str, Any]:
    """Hold the event loop for ``seconds``, as a call that should have been awaited does."""
    record("block")
    time.sleep(float(request.query_params["seconds"]))  # noqa: ASYNC251
    return {}


async def allocate(request: Request) -> dict[str, Any]:
    """Fill memory by ``step_mb`` MiB a moment up to ``mb``, keep it for ``seconds``; stop if it is refused."""
    size, step = float(request.query_params["mb"]), float(request.query_params["step_mb"])
    kept: list[bytes] = []
    try:
        while len(kept) * step < size:
            record("allocate", mb=len(kept) * step)
            kept.append(b"x" * int(step * MIB))  # written to: pages that nobody has touched are no memory
            await asyncio.sleep(0.05)
    except MemoryError:
        record("allocate.refused", mb=len(kept) * step)
        return {"refused": True}
    await asyncio.sleep(float(request.query_params["seconds"]))
    return {"refused": False}


async def leak(request: Request) -> dict[str, Any]:
    """Keep ``mb`` MiB for ever."""
    LEAKED.append(b"x" * int(float(request.query_params["mb"]) * MIB))
    return {}


async def body(request: Request) -> dict[str, Any]:
    """Take the whole body, and note how large it was."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
    record("body", size=size)
    return {"size": size}


async def log(request: Request) -> dict[str, Any]:
    """Log numbered lines, as the app's own code would."""
    query = request.query_params
    first, filler = int(query["first"]), "x" * int(query["size"])
    for number in range(first, first + int(query["count"])):
        logging.getLogger("deploycheck").warning("%s %d %s", query["token"], number, filler)
    return {}


async def fail(_: Request) -> dict[str, Any]:
    """Raise what nobody handles."""
    raise RuntimeError("raised by deploycheck")


ACTIONS: dict[str, Action] = {
    "allocate": allocate,
    "block": block,
    "body": body,
    "echo": echo,
    "hold": hold,
    "leak": leak,
    "log": log,
    "raise": fail,
}
