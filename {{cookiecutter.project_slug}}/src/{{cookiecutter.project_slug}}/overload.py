"""More requests than a worker can answer in time are refused at once, so that those it has taken are (RES006)."""

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

# So many at once in each worker: the slowest of them still answers within a few seconds.
REQUESTS_IN_PROGRESS = 16
# Asked for most urgently under load: "is it alive?", "how busy is it?"
ALWAYS = ("/health/", "/metrics")


class OverloadMiddleware:
    """Let some requests pass, and answer the rest with 503 before any work is done for them. Pure ASGI."""

    def __init__(self, app: ASGIApp, limit: int = REQUESTS_IN_PROGRESS) -> None:
        """Wrap the app."""
        self.app = app
        self.limit = limit
        self.in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        path = scope.get("path", "").removeprefix(scope.get("root_path", ""))
        if scope["type"] != "http" or path.startswith(ALWAYS):
            await self.app(scope, receive, send)
        elif self.in_progress >= self.limit:
            refusal = JSONResponse({"detail": "too busy, try again"}, status_code=503, headers={"Retry-After": "1"})
            await refusal(scope, receive, send)
        else:
            self.in_progress += 1
            try:
                await self.app(scope, receive, send)
            finally:
                self.in_progress -= 1
