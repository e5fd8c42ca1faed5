"""What a proxy of one's own would do: on a platform nobody stands between its edge and the app, so the app does it."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY = 4 * 1024 * 1024
# Who answers and closes while a body still comes breaks the connection, and the edge says 502. So some more is taken.
THROWN_AWAY = 4 * LARGEST_BODY
# Browsers stay on HTTPS for a year (TLS003).
HEADERS = {
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
}


class EdgeMiddleware:
    """Refuse what is too large, keep metrics from the public, and add headers. Pure ASGI."""

    def __init__(self, app: ASGIApp) -> None:
        """Wrap the app."""
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, taken = Headers(scope=scope), 0

        async def receive_some() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > LARGEST_BODY:
                await throw_away(message, receive)
                raise HTTPException(413)
            return message

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["scheme"] == "https":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        length = headers.get("content-length", "0")
        if length.isdecimal() and int(length) > LARGEST_BODY:
            # [tool.deploycheck] max_body_mb says the same (TLS013).
            await throw_away(await receive(), receive)
            await PlainTextResponse("too large", 413)(scope, receive, send_with_headers)
        elif scope["path"].startswith("/metrics") and "x-forwarded-for" in headers:
            # It came through the edge. Metrics are for who asks the container itself, as Fly.io's Prometheus (RES001).
            await PlainTextResponse("not found", 404)(scope, receive, send_with_headers)
        else:
            await self.app(scope, receive_some, send_with_headers)


async def throw_away(message: Message, receive: Receive) -> None:
    """Take what follows a part of a body, up to a bound."""
    taken = len(message.get("body", b""))
    while message.get("more_body") and taken < THROWN_AWAY:
        message = await receive()
        taken += len(message.get("body", b""))


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
