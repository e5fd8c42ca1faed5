from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from bookshop.database import Book, Session

router = APIRouter(tags=["books"])


class NewBook(BaseModel):
    title: str


@router.get("")
def list_books():
    with Session() as session:
        return [{"id": book.id, "title": book.title} for book in session.scalars(select(Book).limit(50))]


@router.post("", status_code=201)
def add_book(new: NewBook):
    with Session.begin() as session:
        book = Book(title=new.title)
        session.add(book)
        session.flush()
        return {"id": book.id, "title": book.title}
