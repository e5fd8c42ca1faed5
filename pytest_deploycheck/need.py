"""What a check needs of a project, and a project can lack: it is then not verified, with what to add."""

from __future__ import annotations

import enum


class Need(enum.Enum):
    """Something without which a promise can be neither kept nor broken where the checks run."""

    PROXY = "a proxy that can be run here"
    MANAGER = "whoever starts the app again"
    START = "how the manager itself is started"
    LOOP = "whoever starts it again and again"
    REPLACEMENT = "whoever replaces a process that serves"
    LOGS = "whoever keeps what the app prints"
    READINESS = "a route that says when the app is ready"
    METRICS = "a route that shows the app's metrics"
    WORKERS = "the number of workers"
    MIGRATIONS = "migrations that can be watched"
