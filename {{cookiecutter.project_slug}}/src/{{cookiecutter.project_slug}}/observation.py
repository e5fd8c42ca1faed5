"""Each request is timed, counted and logged. Pure ASGI: nothing is buffered, no task is added."""

import logging
import time
from functools import cache

from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from {{ cookiecutter.project_slug }}.metrics import LATENCY, REQUESTS

logger = logging.getLogger("{{ cookiecutter.project_slug }}.request")
METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class ObservationMiddleware:
    """See every answer on its way out."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        status = 500  # also if the app raises
        start = time.perf_counter()

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_see)
        finally:
            _record(scope, status, time.perf_counter() - start)


@cache  # to look them up by their labels takes as long as to count
def _counters(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(method, route, str(status)), LATENCY.labels(method, route)


def _record(scope: Scope, status: int, seconds: float) -> None:
    # The template /notes/{note_id}, not the path: each label value costs memory for ever (MEM005).
    route = getattr(scope.get("route"), "path", "unknown")
    method = scope["method"] if scope["method"] in METHODS else "unknown"
    requests, latency = _counters(method, route, status)
    requests.inc()
    latency.observe(seconds)
    client = scope["client"]
    fields = {
        "method": scope["method"],
        "path": scope["path"],
        "status": status,
        "milliseconds": round(seconds * 1000, 1),
        "client": client[0] if client else None,
    }
    logger.info("%s %s %d", scope["method"], scope["path"], status, extra={"fields": fields})
