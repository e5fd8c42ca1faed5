from contextlib import asynccontextmanager

from fastapi import FastAPI
from sqlalchemy import text

from app.settings import engine


@asynccontextmanager
async def lifespan(_: FastAPI):
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE IF NOT EXISTS task (id INTEGER PRIMARY KEY, title TEXT)"))
    yield


app = FastAPI(lifespan=lifespan)


@app.get("/healthcheck")
def healthcheck():
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
    return {"ok": True}


@app.get("/tasks")
def tasks():
    with engine.connect() as connection:
        return [dict(row._mapping) for row in connection.execute(text("SELECT id, title FROM task"))]
