"""Notes, as a client sees them."""

import pytest
from fastapi.testclient import TestClient


def create(client: TestClient, text: str) -> int:
    """Store a note and return its number."""
    return int(client.post("/notes", json={"text": text}).json()["id"])


def test_created_note_can_be_read_at_its_location(client: TestClient) -> None:
    """201 comes with the address of the new note."""
    created = client.post("/notes", json={"title": "Shopping", "text": "bread"})
    assert created.status_code == 201
    assert created.headers["Location"].startswith("https://testserver/notes/")
    read = client.get(created.headers["Location"])
    assert read.json() == created.json()
    assert read.json()["text"] == "bread"
    assert read.json()["created_at"].endswith("Z")


def test_list_goes_page_by_page(client: TestClient) -> None:
    """Every note is on one page, and the last page says that it is the last."""
    numbers = [create(client, f"note {i}") for i in range(5)]
    found, after = [], -1
    while after is not None:
        page = client.get("/notes", params={"limit": 2, "after": after}).json()
        found += [note["id"] for note in page["notes"]]
        after = page["next"]
    assert found == numbers


def test_seal_depends_on_the_notes(client: TestClient) -> None:
    """The same notes give the same seal, others another."""
    create(client, "first")
    seal = client.get("/notes/seal").json()
    assert client.get("/notes/seal").json() == seal
    create(client, "second")
    assert client.get("/notes/seal").json() != seal


def test_unknown_note_is_not_found(client: TestClient) -> None:
    """There is nothing at a number that was not given out."""
    assert client.get("/notes/1").status_code == 404


@pytest.mark.parametrize("note", [{}, {"text": ""}, {"text": "x" * 2001}, {"text": "x", "title": "x" * 201}])
def test_wrong_note_is_refused(client: TestClient, note: dict[str, str]) -> None:
    """What the database could not hold gets no further than the edge."""
    assert client.post("/notes", json=note).status_code == 422


@pytest.mark.parametrize("authorization", ["", "Bearer", "Bearer wrong", "Basic dTpw"])
@pytest.mark.parametrize("path", ["/notes", "/notes/1", "/notes/seal"])
def test_nothing_without_the_token(client: TestClient, path: str, authorization: str) -> None:
    """Reading needs the token too."""
    response = client.get(path, headers=[("Authorization", authorization)])
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == "Bearer"
