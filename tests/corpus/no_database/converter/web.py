from fastapi import FastAPI
from prometheus_client import make_asgi_app

app = FastAPI(root_path="/convert")
app.mount("/metrics", make_asgi_app())


@app.get("/health/live")
async def live():
    return {}


@app.get("/health/ready")
async def ready():
    return {}


@app.get("/units")
async def units():
    return ["m", "ft", "kg", "lb"]
