"""Requests, answers and websockets in plain ASGI: the app's framework may be any."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, MutableMapping
from typing import Any
from urllib.parse import parse_qs, quote

Scope = MutableMapping[str, Any]
USUAL_PORTS = {"http": 80, "https": 443}


class Request:
    """One HTTP request, as its scope tells."""

    def __init__(self, scope: Scope, receive: Any) -> None:
        self._scope, self._receive = scope, receive
        query = scope.get("query_string", b"").decode("latin-1")
        self.query_params = {name: values[-1] for name, values in parse_qs(query).items()}

    @property
    def client(self) -> str | None:
        """The address that the app takes for the client's."""
        client = self._scope.get("client")
        return str(client[0]) if client else None

    @property
    def url(self) -> str:
        """The URL that the app takes for its own, as frameworks make it: by the Host header, else by the socket."""
        scheme, query = (
            self._scope.get("scheme", "http"),
            self._scope.get("query_string", b"").decode("latin-1"),
        )
        hosts = (value.decode("latin-1") for name, value in self._scope["headers"] if name == b"host")
        server = self._scope.get("server") or ("", None)
        port = "" if server[1] in (None, USUAL_PORTS.get(scheme)) else f":{server[1]}"
        path = quote(self._scope["path"], safe="/:@!$&'()*+,;=~")
        return f"{scheme}://{next(hosts, f'{server[0]}{port}')}{path}" + (f"?{query}" if query else "")

    async def stream(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces."""
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise ConnectionResetError("the client went away")
            more = message.get("more_body", False)
            yield message.get("body", b"")


async def send_json(send: Any, content: dict[str, Any]) -> None:
    """Answer with 200 and JSON."""
    body = json.dumps(content).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def repeat_messages(receive: Any, send: Any) -> None:
    """Accept a websocket and send each text back."""
    while (message := await receive())["type"] != "websocket.disconnect":
        if message["type"] == "websocket.connect":
            await send({"type": "websocket.accept"})
        elif message.get("text") is not None:
            await send({"type": "websocket.send", "text": message["text"]})
