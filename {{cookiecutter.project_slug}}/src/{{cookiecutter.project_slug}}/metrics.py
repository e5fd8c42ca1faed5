"""Metrics of all workers together, whichever of them is asked (RES001).

Each worker adds to files in PROMETHEUS_MULTIPROC_DIR, where the counts of a worker that died stay.
"""

import os
from collections.abc import Iterator

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

from {{ cookiecutter.project_slug }}.processes import started, stat

REQUESTS = Counter("http_requests", "Requests answered.", ["method", "route", "status"])
LATENCY = Histogram("http_request_duration_seconds", "Time to answer.", ["method", "route"])
WORKER_START = Gauge("worker_start_ticks", "When a worker started, in ticks since boot.", multiprocess_mode="all")

router = APIRouter(include_in_schema=False)


def register_worker() -> None:
    """Make this worker known."""
    WORKER_START.set(started(os.getpid()))


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
            now = stat(pid)
        except FileNotFoundError:
            return
        if int(now[19]) == start and now[0] != "Z":
            cpu.add_metric([str(pid)], (int(now[11]) + int(now[12])) / os.sysconf("SC_CLK_TCK"))
            memory.add_metric([str(pid)], int(now[21]) * os.sysconf("SC_PAGE_SIZE"))


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
