"""Logs: one JSON object a line on standard output, which the process manager writes to a file and rotates (RES005)."""

import asyncio
import json
import logging
import logging.config
import os
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from select import PIPE_BUF
from typing import TextIO

ENCODER = json.JSONEncoder(ensure_ascii=False, default=str)
# Lines of so long a time are written together.
TOGETHER_S = 0.1


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


class TogetherHandler(logging.StreamHandler[TextIO]):
    """Write the lines of a moment at once: each write wakes the process manager, which costs more than the line.

    Never more than the kernel takes in one piece, so that lines of two workers do not mix. A warning does not wait, and
    takes those before it along; nor does a line where no event loop runs that could write it later.
    """

    def __init__(self, stream: TextIO) -> None:
        """Write to a stream."""
        super().__init__(stream)
        self.waiting = ""
        self.timer: asyncio.TimerHandle | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line for a moment."""
        try:
            line = self.format(record) + self.terminator
            if len((self.waiting + line).encode()) > PIPE_BUF:
                self.flush()
            self.waiting += line
            if record.levelno > logging.INFO or not self._will_be_flushed():
                self.flush()
        except Exception:  # noqa: BLE001
            self.handleError(record)

    def _will_be_flushed(self) -> bool:
        if self.timer is None:
            with suppress(RuntimeError):  # there is no event loop in this thread
                self.timer = asyncio.get_running_loop().call_later(TOGETHER_S, self.flush)
        return self.timer is not None

    def flush(self) -> None:
        """Write all that waits."""
        self.acquire()
        try:
            if self.timer is not None:
                self.timer.cancel()
            lines, self.waiting, self.timer = self.waiting, "", None
            self.stream.write(lines)
            super().flush()
        finally:
            self.release()


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
                "stdout": {"()": TogetherHandler, "stream": "ext://sys.stdout", "formatter": "json"},
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
