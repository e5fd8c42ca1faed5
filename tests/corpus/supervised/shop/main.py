import os

from fastapi import FastAPI

app = FastAPI(title=os.environ["SHOP_NAME"], docs_url=None, redoc_url=None)


@app.get("/health/live")
async def live():
    return {"alive": True}


@app.get("/health/ready")
async def ready():
    return {"ready": True}


@app.get("/articles")
async def articles():
    return [{"name": "bread", "cents": 420}]
