"""Logs: one JSON object a line on standard output, which the process manager writes to a file and rotates (RES005)."""

import json
import logging
import logging.config
import os
from datetime import UTC, datetime
from functools import lru_cache

ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)


class JsonFormatter(logging.Formatter):
    """Write a record, and whatever `extra={"fields": {...}}` adds to it, as JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line."""
        line = {
            "time": f"{_second(int(record.created))}.{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": os.getpid(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return ENCODER.encode(line)


@lru_cache(maxsize=1)  # many lines are of the same second
def _second(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def configure(level: str) -> None:
    """Send everything, the server's own messages too, through one handler."""
    # No line tells them, and to ask for them takes as long as to write it.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "formatters": {"json": {"()": JsonFormatter}},
            "handlers": {
                "stdout": {"class": "logging.StreamHandler", "stream": "ext://sys.stdout", "formatter": "json"},
            },
            "root": {"level": level, "handlers": ["stdout"]},
{%- if cookiecutter.app_server == "gunicorn" %}
            "loggers": {"gunicorn.error": {"handlers": [], "propagate": True}},
{%- else %}
            # Not Uvicorn's own line for each request: there is one from ObservationMiddleware.
            "loggers": {
                "uvicorn": {"handlers": [], "propagate": True},
                "uvicorn.access": {"handlers": [], "propagate": False},
            },
{%- endif %}
        }
    )
