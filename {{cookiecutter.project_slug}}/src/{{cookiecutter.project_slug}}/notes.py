"""Notes: create, list, read, and a seal over all of them."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, HTTPException, Query, Request, Response, status
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field
from sqlalchemy import select

from {{ cookiecutter.project_slug }}.database import Session
from {{ cookiecutter.project_slug }}.models import Note

SEAL_ITERATIONS = 250_000


async def _authorized(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))],
) -> None:
    token = request.app.state.settings.api_token.get_secret_value()
    if credentials is None or not secrets.compare_digest(credentials.credentials.encode(), token.encode()):
        raise HTTPException(
            status.HTTP_401_UNAUTHORIZED, "a valid bearer token is needed", {"WWW-Authenticate": "Bearer"}
        )


router = APIRouter(prefix="/notes", tags=["notes"], dependencies=[Depends(_authorized)])


class NewNote(BaseModel):
    """A note as a client sends it."""

    title: str = Field(default="", max_length=200)
    text: str = Field(min_length=1, max_length=2000)


class ReadNote(NewNote):
    """A note as it was stored."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    created_at: Annotated[datetime, AfterValidator(lambda value: value.replace(tzinfo=UTC))]


class Page(BaseModel):
    """Some notes; `next` is the `after` of the page that follows, if there is one."""

    notes: list[ReadNote]
    next: int | None


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_note(new: NewNote, session: Session, request: Request, response: Response) -> ReadNote:
    """Store a note; Location says where it can be read."""
    note = Note(**new.model_dump())
    session.add(note)
    await session.commit()
    response.headers["Location"] = str(request.url_for("read_note", note_id=note.id))
    return ReadNote.model_validate(note)


@router.get("")
async def list_notes(
    session: Session,
    after: Annotated[int, Query(ge=-1)] = -1,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
) -> Page:
    """List notes in the order in which they were stored."""
    found = await session.scalars(select(Note).where(Note.id > after).order_by(Note.id).limit(limit + 1))
    notes = [ReadNote.model_validate(note) for note in found]
    return Page(notes=notes[:limit], next=notes[limit - 1].id if len(notes) > limit else None)


async def _texts(session: Session) -> Sequence[str]:
    texts = (await session.scalars(select(Note.text).order_by(Note.id.desc()).limit(100))).all()
    # Gives the connection back: what is computed from them needs none, and other requests wait for one (RES006).
    await session.close()
    return texts


@router.get("/seal")
def seal(texts: Annotated[Sequence[str], Depends(_texts)]) -> dict[str, str]:
    """Show a hash of the newest notes that is slow to compute, about 100 ms of CPU.

    A plain `def`: it runs in a thread, and the event loop goes on answering others (RES003).
    """
    content = "\0".join(texts).encode()
    return {"seal": hashlib.pbkdf2_hmac("sha256", content, b"seal", SEAL_ITERATIONS).hex()}


@router.get("/{note_id}")
async def read_note(note_id: int, session: Session) -> ReadNote:
    """Read one note."""
    note = await session.get(Note, note_id)
    if note is None:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no note {note_id}")
    return ReadNote.model_validate(note)
