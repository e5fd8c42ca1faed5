"""More requests than a worker can answer in time are refused at once, so that those it has taken are (RES006)."""

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# So many at once in each worker: the slowest of them still answers within a few seconds.
REQUESTS_IN_PROGRESS = 16
# Asked for most urgently under load: "is it alive?", "how busy is it?"
ALWAYS = ("/health/", "/metrics")
# Bodies that are still on their way have places of their own: who sends slowly takes none of the others' (TLS014).
BODIES_ON_THEIR_WAY = 8


class OverloadMiddleware:
    """Let some requests pass, and answer the rest with 503 before any work is done for them. Pure ASGI."""

    def __init__(self, app: ASGIApp, limit: int = REQUESTS_IN_PROGRESS, bodies: int = BODIES_ON_THEIR_WAY) -> None:
        """Wrap the app."""
        self.app = app
        self.limit, self.bodies = limit, bodies
        self.in_progress, self.on_their_way = 0, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or path.startswith(ALWAYS):
            await self.app(scope, receive, send)
            return
        on_its_way = has_body(scope)
        if self.in_progress >= self.limit or (on_its_way and self.on_their_way >= self.bodies):
            refusal = JSONResponse({"detail": "too busy, try again"}, status_code=503, headers={"Retry-After": "1"})
            await refusal(scope, receive, send)
            return

        async def receive_some() -> Message:
            nonlocal on_its_way
            message = await receive()
            if on_its_way and not message.get("more_body"):
                on_its_way = False
                self.on_their_way -= 1
                self.in_progress += 1
            return message

        self.on_their_way += on_its_way
        self.in_progress += not on_its_way
        try:
            await self.app(scope, receive_some, send)
        finally:
            self.on_their_way -= on_its_way
            self.in_progress -= not on_its_way


def has_body(scope: Scope) -> bool:
    """Tell whether a request brings a body, by its header."""
    headers = Headers(raw=scope.get("headers", []))
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers
