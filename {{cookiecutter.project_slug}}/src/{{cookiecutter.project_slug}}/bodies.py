"""The bodies of requests: how large they may be, how long they may take, and how much of them there may be at once.

{% if cookiecutter.process_manager == "kubernetes" -%}
A proxy of one's own would see to it. The Gateway API has no field for it, so the app does it.
{%- else -%}
A proxy of one's own would see to it. No platform's file says what its edge lets through, so the app does it.
{%- endif %}
"""

import asyncio

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from {{ cookiecutter.project_slug }}.overload import has_body

# [tool.deploycheck] max_body_mb says the same (TLS013).
LARGEST_BODY = 4 * 1024 * 1024
# Who answers and closes while a body still comes breaks the connection, and who is before the app says 502. So some
# more is taken.
THROWN_AWAY = 4 * LARGEST_BODY
# In seconds, for all of a body: who sends a byte now and then is not waited for (TLS014).
BODY_TIMEOUT = 20.0
# Of all requests in a worker together: its memory has a limit (MEM002).
ROOM = 8 * LARGEST_BODY


class BodyMiddleware:
    """Take each body as a whole before the app hears of the request, or refuse it. Pure ASGI.

    So a request takes no place among those in progress (RES006) before all of it is here. A route that is to read a
    body of any size, piece by piece, would have to be let past.
    """

    def __init__(self, app: ASGIApp, timeout: float = BODY_TIMEOUT, room: int = ROOM) -> None:
        """Wrap the app; a body may take so many seconds, and all of them so many bytes."""
        self.app = app
        self.timeout = timeout
        self.room = room
        self.held = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on with its body, or refuse it."""
        if scope["type"] != "http" or not has_body(scope):
            await self.app(scope, receive, send)
            return
        body = bytearray()
        try:
            refusal = await self.take(Headers(scope=scope), body, receive)
            if refusal is None:
                await self.app(scope, with_body(body, receive), send)
            else:
                await refusal(scope, receive, send)
        finally:
            self.held -= len(body)

    async def take(self, headers: Headers, body: bytearray, receive: Receive) -> PlainTextResponse | None:
        """Read into `body`, and return how the request is refused, if it is."""
        length, more = headers.get("content-length", ""), True
        is_large = length.isdecimal() and int(length) > LARGEST_BODY
        try:
            async with asyncio.timeout(self.timeout):
                while more:
                    message = await receive()
                    if message["type"] != "http.request":
                        return refused(400, "incomplete")
                    part, more = message.get("body", b""), message.get("more_body", False)
                    if is_large or len(body) + len(part) > LARGEST_BODY:
                        await throw_away(message, receive)
                        return refused(413, "too large")
                    if self.held + len(part) > self.room:
                        await throw_away(message, receive)
                        return refused(503, "too busy, try again", {"Retry-After": "1"})
                    body += part
                    self.held += len(part)
        except TimeoutError:
            return refused(408, "too slow")
        return None


def refused(status: int, why: str, headers: dict[str, str] | None = None) -> PlainTextResponse:
    """Make an answer that ends the connection: of what still comes on it nobody wants to hear."""
    return PlainTextResponse(why, status, {"Connection": "close", **(headers or {})})


def with_body(body: bytearray, receive: Receive) -> Receive:
    """Let the app receive a body that is here already, and then what else comes."""
    waiting: list[Message] = [{"type": "http.request", "body": bytes(body), "more_body": False}]

    async def receive_body() -> Message:
        return waiting.pop() if waiting else await receive()

    return receive_body


async def throw_away(message: Message, receive: Receive) -> None:
    """Take what follows a part of a body, up to a bound."""
    taken = len(message.get("body", b""))
    while message.get("more_body") and taken < THROWN_AWAY:
        message = await receive()
        taken += len(message.get("body", b""))
