"""The application: its routes, and what happens around every request."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
{%- if cookiecutter.database == "postgresql" %}
from sqlalchemy.exc import TimeoutError as NoConnection
{%- endif %}
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from {{ cookiecutter.project_slug }} import health, metrics, notes
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") %}
from {{ cookiecutter.project_slug }}.bodies import BodyMiddleware
{%- endif %}
from {{ cookiecutter.project_slug }}.database import create_engine
{%- if cookiecutter.process_manager == "cloud" %}
from {{ cookiecutter.project_slug }}.edge import ClientHeaderMiddleware, EdgeMiddleware
{%- endif %}
from {{ cookiecutter.project_slug }}.heartbeat import beating
from {{ cookiecutter.project_slug }}.observation import ObservationMiddleware
from {{ cookiecutter.project_slug }}.overload import OverloadMiddleware
from {{ cookiecutter.project_slug }}.settings import Settings

logger = logging.getLogger(__name__)

THREADS = 4


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Run once in each worker. What is needed once for a deployment is in `deploy/previous-steps` (REP005)."""
    # Plain `def` routes wait for one of these. More of them would only take the CPU from the event loop (RES003).
    current_default_thread_limiter().total_tokens = THREADS
    metrics.register_worker()
    app.state.outdated_revisions = health.outdated_revisions()
    app.state.engine = create_engine(app.state.settings)
    logger.info("worker started")
    with beating():
        yield
    await app.state.engine.dispose()
    logger.info("worker stopped")


{% if cookiecutter.app_server == "gunicorn" -%}
async def server_error(request: Request, error: Exception) -> JSONResponse:
    """Tell the client nothing of an error but that there was one; the log has it all (RST005 BOOT008)."""
    # Gunicorn says nothing of an error that comes when its answer is complete.
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
{%- else -%}
async def server_error(_request: Request, _error: Exception) -> JSONResponse:
    """Tell the client nothing of an error but that there was one; the log has it all (RST005 BOOT008)."""
{%- endif %}
    return JSONResponse({"detail": "internal server error"}, status_code=500)


{% if cookiecutter.database == "postgresql" -%}
async def no_connection(_request: Request, _error: Exception) -> JSONResponse:
    """Refuse a request for which no connection of the pool became free in time, as any other overload (RES006)."""
    return JSONResponse({"detail": "too busy, try again"}, status_code=503, headers={"Retry-After": "1"})


{% endif -%}
def create_app(settings: Settings) -> FastAPI:
    """Build the application for these settings; nothing is opened before it starts."""
    app = FastAPI(
        title="{{ cookiecutter.project_name }}",
        lifespan=lifespan,
        exception_handlers={Exception: server_error{% if cookiecutter.database == "postgresql" %}, NoConnection: no_connection{% endif %}},
    )
    app.state.settings = settings
    app.include_router(notes.router)
    app.include_router(health.router)
    app.include_router(metrics.router)
    app.add_middleware(OverloadMiddleware)
{%- if cookiecutter.process_manager in ("kubernetes", "cloud") %}
    # Around it: a body that still comes takes no place of other requests (TLS014).
    app.add_middleware(BodyMiddleware)
{%- endif %}
    app.add_middleware(ObservationMiddleware)
{%- if cookiecutter.process_manager == "cloud" %}
    app.add_middleware(EdgeMiddleware)
    # Of X-Forwarded-For the last address counts that is not the platform's own: what its edge has added, not what a
    # client has written before it. Who is not in the platform's networks is not believed at all (TLS005 TLS006).
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.platform_networks)
    # Added last, so it is outermost.
    app.add_middleware(ClientHeaderMiddleware, name=settings.client_header)
{%- elif cookiecutter.process_manager == "kubernetes" %}
    # Added last, so it is outermost. Of X-Forwarded-For the last address counts that is none of these: what a gateway
    # has added, not what a client has written before it (TLS005 TLS006).
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts=settings.cluster_networks)
{%- elif cookiecutter.https_proxy == "traefik" %}
    # Added last, so it is outermost. Only what comes from this machine is believed: there is the proxy (TLS005 TLS006).
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts="127.0.0.1")
{%- else %}
    # Added last, so it is outermost. Right only because nobody but the proxy can open the app's socket (TLS005 TLS006).
    app.add_middleware(ProxyHeadersMiddleware, trusted_hosts="*")
{%- endif %}
    return app
