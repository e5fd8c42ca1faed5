"""App servers: how they are recognised, and where they are mended. One module each."""

from pytest_deploycheck.servers import gunicorn, uvicorn

MODULES = (gunicorn, uvicorn)
