"""The table of docs/sizing.md: pods, memory and connections for a load, from measured values."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

LOADS = (100, 1_000, 5_000, 20_000, 100_000, 500_000, 1_000_000)
# How busy CPUs are to be, as the autoscaler of the template keeps them.
BUSY = 0.7
# On top of what was measured: MEM001 wants a tenth.
HEADROOM = 1.1
# The template's DATABASE_CONNECTIONS of a pod, and the pods that a release adds: maxSurge.
POOL, SURGE = 5, 0.25
# PostgreSQL's default, less those it keeps for superusers; and more than that is a server that waits for itself.
USUAL_CONNECTIONS, MANY_CONNECTIONS = 97, 500
FEWEST = 2


@dataclass(frozen=True, kw_only=True)
class Size:
    """What a load needs.

    Attributes:
        load: requests a second.
        pods: so many, each with one server process.
        memory_mb: what all of them take, with headroom, in MiB.
        connections: what all of them may open while a release is rolled out.
    """

    load: int
    pods: int
    memory_mb: float
    connections: int

    @property
    def database(self) -> str:
        """What the database needs for so many connections."""
        if self.connections <= USUAL_CONNECTIONS:
            return "as installed"
        return "a larger `max_connections`" if self.connections <= MANY_CONNECTIONS else "PgBouncer"


def per_worker(measured: dict[str, Any]) -> float:
    """Return the requests a second of one worker whose CPU is as busy as it is to be."""
    return float(
        measured["requests_per_s_at_target"] / measured["workers"] * BUSY / measured["cpu_at_target"]
    )


def per_pod_mb(measured: dict[str, Any]) -> float:
    """Return what one pod takes: what is shared, the server's parent and one worker, with headroom."""
    return float((measured["shared_mb"] + measured["parent_uss_mb"] + measured["worker_uss_mb"]) * HEADROOM)


def size(load: int, measured: dict[str, Any]) -> Size:
    """Return what a load needs, in requests a second."""
    pods = max(FEWEST, math.ceil(load / per_worker(measured)))
    return Size(
        load=load,
        pods=pods,
        memory_mb=pods * per_pod_mb(measured),
        connections=(pods + math.ceil(pods * SURGE)) * POOL,
    )


def table(file: Path) -> str:
    """Return the measured values and the table, as Markdown."""
    measured = tomllib.loads(file.read_text(encoding="utf-8"))
    rate, busy = measured["requests_per_s_at_target"], measured["cpu_at_target"]
    said = (
        f"Measured on {measured['machine']}. {measured['stack']}: {rate} requests a second at {busy:.0%} of the CPU, "
        f"so **{per_worker(measured):.0f} requests a second** for a worker at {BUSY:.0%}; and "
        f"**{per_pod_mb(measured):.0f} MiB** for a pod with one worker, with {HEADROOM - 1:.0%} on top."
    )
    lines = [
        said,
        "",
        "| Requests a second | Pods | Memory | Connections in a release | Database |",
        "|---:|---:|---:|---:|---|",
    ]
    for load in LOADS:
        found = size(load, measured)
        memory = found.memory_mb
        amount = f"{memory:.0f} MiB" if memory < 1024 else f"{memory / 1024:.1f} GiB"
        lines.append(
            f"| {found.load:,} | {found.pods:,} | {amount} | {found.connections:,} | {found.database} |"
        )
    return "\n" + "\n".join(lines) + "\n"
