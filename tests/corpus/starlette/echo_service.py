from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route


async def home(request: Request) -> JSONResponse:
    return JSONResponse(dict(request.query_params))


async def up(request: Request) -> PlainTextResponse:
    return PlainTextResponse("up")


def create_app() -> Starlette:
    return Starlette(
        routes=[Route("/", home), Route("/up", up), Route("/echo", home, methods=["POST"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["echo.example.com"])],
    )
