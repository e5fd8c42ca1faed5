import os

from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def greet():
    return {"greeting": os.environ["GREETING"]}


@app.get("/ping")
async def ping():
    return "pong"
