import sqlite3

from fastapi import FastAPI, HTTPException
from fastapi.responses import RedirectResponse

from linkshort.settings import FILE

app = FastAPI()


@app.get("/status")
def status():
    return {"ok": True}


@app.get("/links")
def links():
    with sqlite3.connect(FILE) as connection:
        return connection.execute("SELECT word, url FROM link").fetchall()


@app.get("/to/{word}")
def follow(word: str):
    with sqlite3.connect(FILE) as connection:
        row = connection.execute("SELECT url FROM link WHERE word = ?", (word,)).fetchone()
    if row is None:
        raise HTTPException(404)
    return RedirectResponse(row[0])
