"""What happens when more is asked than a worker can answer."""

import asyncio

{% if cookiecutter.database == "postgresql" -%}
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.ext.asyncio import AsyncSession
{% endif -%}
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from {{ cookiecutter.project_slug }}.overload import OverloadMiddleware


def test_too_much_is_refused_and_health_is_not() -> None:
    """One more than the limit gets 503, health is answered, and afterwards there is room again."""
    statuses: list[int] = []

    async def ask(app: OverloadMiddleware, path: str) -> None:
        async def receive() -> Message:
            return {"type": "http.request"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await app({"type": "http", "path": f"/api{path}", "root_path": "/api"}, receive, send)

    async def overload() -> None:
        gate = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["path"] == "/api/notes":
                await gate.wait()
            await PlainTextResponse("here")(scope, receive, send)

        app = OverloadMiddleware(slow, limit=2)
        waiting = [asyncio.create_task(ask(app, "/notes")) for _ in range(2)]
        await asyncio.sleep(0)
        await ask(app, "/notes")
        await ask(app, "/health/live")
        gate.set()
        await asyncio.gather(*waiting)
        await ask(app, "/notes")

    asyncio.run(overload())
    assert statuses == [503, 200, 200, 200, 200]
{%- if cookiecutter.database == "postgresql" %}


def test_no_free_connection_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets no connection of the pool in time is told to come again, and is no error in the log."""

    async def wait_in_vain(*_: object) -> None:
        raise NoConnection("QueuePool limit of size 1 overflow 0 reached")

    monkeypatch.setattr(AsyncSession, "scalars", wait_in_vain)
    response = client.get("/notes")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
{%- endif %}
