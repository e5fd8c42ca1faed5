"""Metrics of all workers together, whichever of them is asked (RES001).

Each worker adds to files in PROMETHEUS_MULTIPROC_DIR, where the counts of a worker that died stay.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from fastapi import APIRouter, Response
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

REQUESTS = Counter("http_requests", "Requests answered.", ["method", "route", "status"])
LATENCY = Histogram("http_request_duration_seconds", "Time to answer.", ["method", "route"])
WORKER_START = Gauge("worker_start_ticks", "When a worker started, in ticks since boot.", multiprocess_mode="all")

router = APIRouter(include_in_schema=False)


def _stat(pid: int) -> list[str]:
    """Read what the kernel says of a process, from the state on: see proc(5)."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def register_worker() -> None:
    """Make this worker known. A number may be used again after a death; number and start together never are."""
    WORKER_START.set(int(_stat(os.getpid())[19]))


class AllWorkers(Collector):
    """What all workers counted, and the CPU time and memory of those alive, as the kernel accounts for them."""

    def collect(self) -> Iterator[Metric]:
        """Read both now."""
        cpu = CounterMetricFamily("process_cpu_seconds", "CPU time of a worker.", labels=["pid"])
        memory = GaugeMetricFamily("process_resident_memory_bytes", "Memory of a worker.", labels=["pid"])
        counted = MultiProcessCollector(None)  # type: ignore[no-untyped-call]
        for metric in counted.collect():  # type: ignore[no-untyped-call]
            yield metric
            if metric.name == "worker_start_ticks":
                for sample in metric.samples:
                    self._measure(int(sample.labels["pid"]), sample.value, cpu, memory)
        yield cpu
        yield memory

    def _measure(self, pid: int, start: float, cpu: CounterMetricFamily, memory: GaugeMetricFamily) -> None:
        try:
            stat = _stat(pid)
        except FileNotFoundError:
            return
        if int(stat[19]) == start and stat[0] != "Z":
            cpu.add_metric([str(pid)], (int(stat[11]) + int(stat[12])) / os.sysconf("SC_CLK_TCK"))
            memory.add_metric([str(pid)], int(stat[21]) * os.sysconf("SC_PAGE_SIZE"))


def render() -> bytes:
    """Write all metrics as Prometheus reads them."""
    registry: CollectorRegistry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        registry.register(AllWorkers())
    return generate_latest(registry)


@router.get("/metrics")
async def metrics() -> Response:
    """Show the metrics; the proxy does not let the public ask.

    Not in a thread, for it is quick, and must be answered also when all threads are busy.
    """
    return Response(render(), media_type=CONTENT_TYPE_LATEST)
