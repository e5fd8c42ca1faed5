"""Bodies that are too large, too slow, or too many."""

import asyncio

import pytest
from conftest import TOKEN
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from {{ cookiecutter.project_slug }}.bodies import LARGEST_BODY, BodyMiddleware
from {{ cookiecutter.project_slug }}.overload import REQUESTS_IN_PROGRESS


async def ask(app: object, parts: list[bytes], *, length: int = 0, ends: bool = True) -> int:
    """Send a body in parts, and return the status; if it does not end, nothing more ever comes."""
    waiting, statuses = list(parts), list[int]()
    header = (b"content-length", str(length).encode()) if length else (b"transfer-encoding", b"chunked")

    async def receive() -> Message:
        if not waiting:
            await asyncio.sleep(3600)
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting) or not ends}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    authorization = (b"authorization", f"Bearer {TOKEN}".encode())
    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "https",
        "path": "/notes",
        "raw_path": b"/notes",
        "query_string": b"",
        "root_path": "",
        "headers": [header, authorization],
        "client": ("192.0.2.1", 50000),
        "server": ("testserver", 443),
    }
    await app(scope, receive, send)  # type: ignore[operator]
    return statuses[0]


async def answer(scope: Scope, receive: Receive, send: Send) -> None:
    """Read a body, and say how long it is."""
    message = await receive()
    assert not message["more_body"]
    await PlainTextResponse(str(len(message["body"])))(scope, receive, send)


def test_large_body_is_refused(client: TestClient) -> None:
    """With a Content-Length, and without one; a body of the largest size gets to the app."""
    body = b"x" * (LARGEST_BODY + 1)
    assert client.post("/notes", content=body).status_code == 413
    assert client.post("/notes", content=iter([body])).status_code == 413
    assert client.post("/notes", content=body[1:]).status_code == 422


def test_body_in_parts_arrives_as_a_whole(client: TestClient) -> None:
    """The app gets it in one piece."""
    assert asyncio.run(ask(BodyMiddleware(answer), [b"12", b"", b"3"])) == 200
    parts, headers = iter([b'{"te', b'xt": "a"}']), {"Content-Type": "application/json"}
    response = client.post("/notes", content=parts, headers=headers)
    assert (response.status_code, response.json()["text"]) == (201, "a")


def test_slow_body_is_refused() -> None:
    """Who has begun to send a body and does not go on is told so, and so is who goes on for ever with a large one."""
    app = BodyMiddleware(answer, timeout=0.05)
    assert asyncio.run(ask(app, [b"x"], length=100, ends=False)) == 408
    assert asyncio.run(ask(app, [b"x"], length=LARGEST_BODY + 1, ends=False)) == 408
    assert app.held == 0


def test_client_who_goes_is_let_go() -> None:
    """A body that ends in the middle gets to nobody."""
    statuses = list[int]()

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        statuses.append(message.get("status", 0))

    scope = {"type": "http", "headers": [(b"content-length", b"100")]}
    asyncio.run(BodyMiddleware(answer)(scope, receive, send))
    assert statuses[0] == 400


def test_all_bodies_together_have_a_bound() -> None:
    """What would not fit is told to come again; when others are done there is room."""

    async def fill() -> list[int]:
        app = BodyMiddleware(answer, timeout=0.2, room=10)
        slow = asyncio.create_task(ask(app, [b"x" * 8], length=9, ends=False))
        await asyncio.sleep(0.05)
        found = [await ask(app, [b"x" * 3]), await ask(app, [b"x" * 2])]
        return [*found, await slow, await ask(app, [b"x" * 10])]

    assert asyncio.run(fill()) == [503, 200, 408, 200]


@pytest.mark.parametrize("begun", [b"", b"x"])
def test_slow_bodies_take_no_place_of_others(client: TestClient, begun: bytes) -> None:
    """More of them than requests may be in progress, and others are served (RES006)."""
    app = client.app

    async def crowd() -> int:
        count = 2 * REQUESTS_IN_PROGRESS
        slow = [asyncio.create_task(ask(app, [begun], length=100, ends=False)) for _ in range(count)]
        await asyncio.sleep(0.05)
        status = await ask(app, [b"{}"])
        for task in slow:
            task.cancel()
        return status

    assert asyncio.run(crowd()) == 422
