"""What a project lacks that checks need, in words that say what to add."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pytest_deploycheck.check import COURSE_URL
from pytest_deploycheck.detection import Detected, managers
from pytest_deploycheck.detection.finding import ServerCommand
from pytest_deploycheck.need import Need

NO_READINESS = (
    "no route was found that says when the app is ready, such as /health/ready or /readyz: add one, and name it as "
    "[tool.deploycheck.requests] ready"
)
NO_METRICS = (
    "no route was found that shows metrics: what a platform or an agent sees of the app cannot be seen here. "
    "Add /metrics, and name it as [tool.deploycheck.requests] metrics"
)
LEARN = f"{COURSE_URL}/your-project"


def lacks(
    found: Detected, command: ServerCommand, requests: Mapping[str, Any], table: Mapping[str, Any]
) -> dict[Need, str]:
    """Return what is missing where the server's own command, or Supervisor with it alone, is all that runs.

    The rule: a manager or a proxy that a file of the project names, or that may stand in front of it, is not judged,
    for it does not run here. Where no file names a manager the command is all there is: that nobody starts it again
    is then seen, and a failure.
    """
    return dict(_lacks(found, command, requests, table))


def _lacks(
    found: Detected, command: ServerCommand, requests: Mapping[str, Any], table: Mapping[str, Any]
) -> Iterator[tuple[Need, str]]:
    yield Need.PROXY, _proxy(found)
    if not managers.is_supervisors(command.found.file):
        yield from _of_a_manager(command)
    elif "start" not in table:
        yield Need.START, "no file says how Supervisor itself is started: name it as [tool.deploycheck] start"
    if "ready" not in requests:
        yield Need.READINESS, NO_READINESS
    if "metrics" not in requests:
        yield Need.METRICS, NO_METRICS
    workers = found.settings.get("workers")
    if workers and "workers" not in found.table and "workers" not in table:
        yield (
            Need.WORKERS,
            f"{workers.where} computes the number of workers ({workers.value}): state it as [tool.deploycheck] workers",
        )
    if found.migrations and found.migrations.value == "django":
        yield (
            Need.MIGRATIONS,
            f"{found.migrations.where}: Django's migrations are not watched by this version, only Alembic's",
        )


def _of_a_manager(command: ServerCommand) -> Iterator[tuple[Need, str]]:
    keeper = command.runner or "whatever starts the command"
    yield Need.LOGS, f"{keeper} keeps what the app prints, and does not run here: {LEARN}/#manager"
    if command.runner:
        said = (
            f"{command.runner} is to do this, and does not run here; only its command does: {LEARN}/#manager"
        )
        yield Need.MANAGER, said
        yield Need.LOOP, said
        if command.words is None or not command.words.has_parent:
            yield Need.REPLACEMENT, said
    else:
        yield (
            Need.LOOP,
            "nobody starts the command again (see RST002), so there is no loop that could be bounded",
        )


def _proxy(found: Detected) -> str:
    if not found.proxies:
        return (
            "no proxy in the project: no Caddyfile, nginx.conf, haproxy.cfg or Traefik labels. One that stands in "
            f"front of it cannot be seen; what to add: {LEARN}/#proxy"
        )
    proxy = found.proxies[0]
    return (
        f"{proxy.where} configures {proxy.value}, which this version runs only beside the app under a process manager "
        f"of the project: {LEARN}/#proxy"
    )
