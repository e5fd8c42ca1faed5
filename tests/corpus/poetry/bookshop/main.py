from fastapi import FastAPI, Response
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from bookshop import books
from bookshop.database import Session

app = FastAPI(title="Bookshop")
app.include_router(books.router, prefix="/books")


@app.get("/health/live")
def live():
    return {"status": "alive"}


@app.get("/health/ready")
def ready(response: Response):
    try:
        with Session() as session:
            session.execute(text("SELECT 1 FROM book"))
    except SQLAlchemyError:
        response.status_code = 503
    return {"ready": response.status_code != 503}
