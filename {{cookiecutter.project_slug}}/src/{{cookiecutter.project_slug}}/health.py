"""Alive and ready are different questions (RST010): a restart mends the first, patience the second."""

{% if cookiecutter.process_manager in ("supervisor", "systemd") -%}
import os
{% endif -%}
import re
from pathlib import Path

from fastapi import APIRouter, Request, Response, status
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
{%- if cookiecutter.database == "postgresql" %}
from sqlalchemy.exc import TimeoutError as NoConnection
{%- endif %}

router = APIRouter(prefix="/health", tags=["health"])


def outdated_revisions() -> frozenset[str]:
    """List the revisions that this release is too new for.

    They are those that others follow. One that it does not know was put there by a newer release, which has to let the
    older one run on (PRE008). The files are read, not imported: Alembic would cost each worker time and memory.
    """
    source = "\n".join(file.read_text() for file in Path("migrations/versions").glob("*.py"))
    followed = re.findall(r"^down_revision\b.*=(.*)", source, re.MULTILINE)
    return frozenset(re.findall(r"\w+", " ".join(followed)))


@router.get("/live")
async def live() -> dict[str, str]:
    """Say that the process answers, whatever the database does."""
    return {"status": "alive"}


{% if cookiecutter.process_manager in ("supervisor", "systemd") -%}
@router.get("/ready", responses={421: {"description": "Another worker"}, 503: {"description": "Not ready"}})
async def ready(request: Request, response: Response, worker: int | None = None) -> dict[str, str]:
    """Say that requests will work: the database answers and its schema is new enough (BOOT007).

    Who asks for the worker with a certain pid gets no other one's answer: deploy/reload looks at each new one (RST009).
    """
    if worker not in (None, os.getpid()):
        response.status_code = status.HTTP_421_MISDIRECTED_REQUEST
        return {"status": "another worker"}
{%- else -%}
@router.get("/ready", responses={503: {"description": "Not ready"}})
async def ready(request: Request, response: Response) -> dict[str, str]:
    """Say that requests will work: the database answers and its schema is new enough (BOOT007)."""
{%- endif %}
    try:
        async with request.app.state.engine.connect() as connection:
            revision = await connection.scalar(text("SELECT version_num FROM alembic_version"))
    except DBAPIError as error:
        reason = f"database: {error.orig}"
{%- if cookiecutter.database == "postgresql" %}
    except NoConnection:
        reason = "database: all connections are in use"
{%- endif %}
    else:
        if revision is not None and revision not in request.app.state.outdated_revisions:
            return {"status": "ready"}
        reason = f"schema: at revision {revision}, run deploy/previous-steps"
    response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return {"status": "not ready", "reason": reason}
