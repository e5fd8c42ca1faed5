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


def test_bodies_on_their_way_take_no_other_s_place() -> None:
    """Slow bodies have places of their own; one that is complete takes an ordinary one, and all are free in the end."""
    statuses: list[int] = []
    arrived, done, all_are_here = asyncio.Event(), asyncio.Event(), asyncio.Barrier(3)

    async def ask(app: OverloadMiddleware, length: bytes) -> None:
        async def receive() -> Message:
            await (arrived.wait() if length != b"0" else asyncio.sleep(0))
            return {"type": "http.request", "body": b"x"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                statuses.append(message["status"])

        await app({"type": "http", "path": "/notes", "headers": [(b"content-length", length)]}, receive, send)

    async def read_and_answer(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["headers"] != [(b"content-length", b"0")]:
            await all_are_here.wait()
            await done.wait()
        await PlainTextResponse("here")(scope, receive, send)

    async def overload() -> None:
        app = OverloadMiddleware(read_and_answer, limit=1, bodies=2)
        waiting = [asyncio.create_task(ask(app, b"1")) for _ in range(2)]
        await asyncio.sleep(0)
        await ask(app, b"1")
        await ask(app, b"0")
        assert (app.on_their_way, app.in_progress) == (2, 0)
        arrived.set()
        await all_are_here.wait()
        await ask(app, b"0")
        done.set()
        await asyncio.gather(*waiting)
        assert (app.on_their_way, app.in_progress) == (0, 0)

    asyncio.run(overload())
    assert statuses == [503, 200, 503, 200, 200]
{%- if cookiecutter.database == "postgresql" %}


def test_no_free_connection_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets no connection of the pool in time is told to come again, and is no error in the log."""

    async def wait_in_vain(*_: object) -> None:
        raise NoConnection("QueuePool limit of size 1 overflow 0 reached")

    monkeypatch.setattr(AsyncSession, "scalars", wait_in_vain)
    response = client.get("/notes")
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
{%- endif %}
