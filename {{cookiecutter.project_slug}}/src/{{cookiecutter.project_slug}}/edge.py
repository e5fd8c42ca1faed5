"""What a proxy of one's own would do: on a platform nobody stands between its edge and the app, so the app does it."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Browsers stay on HTTPS for a year (TLS003).
HEADERS = {
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}


class EdgeMiddleware:
    """Keep metrics from the public, and add headers. Pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["scheme"] == "https":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        if scope["path"].startswith("/metrics") and "x-forwarded-for" in Headers(scope=scope):
            # It came through the edge. Metrics are for who asks the container itself, as Fly.io's Prometheus (RES001).
            await PlainTextResponse("not found", 404)(scope, receive, send_with_headers)
        else:
            await self.app(scope, receive, send_with_headers)


class ClientHeaderMiddleware:
    """Let the header in which a platform names the client stand for X-Forwarded-For (TLS005 TLS006). Pure ASGI."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        """Wrap the app."""
        self.app = app
        self.name = name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Whether it is believed is decided by who has sent it, by the middleware inside of this one."""
        values = [] if scope["type"] == "lifespan" else Headers(scope=scope).getlist(self.name)
        if values:
            scope = {**scope, "headers": list(scope["headers"])}
            # Of several lines the last one is the platform's.
            MutableHeaders(scope=scope)["x-forwarded-for"] = values[-1]
        await self.app(scope, receive, send)
