import os

from fastapi import FastAPI

from weather.stations import STATIONS


def create_app() -> FastAPI:
    app = FastAPI(title=os.environ["SERVICE_NAME"])

    @app.get("/healthz")
    async def healthz():
        return {"ok": True}

    @app.get("/stations")
    async def stations():
        return STATIONS

    return app
