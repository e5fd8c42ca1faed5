"""What is logged and counted of each request."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY

from {{ cookiecutter.project_slug }}.logs import JsonFormatter

SCRAPE = """
import os, time
from {{ cookiecutter.project_slug }} import metrics
counted, tell = os.pipe()
child = os.fork()
metrics.register_worker()
metrics.REQUESTS.labels("GET", "/notes", "200").inc()
if child == 0:
    os.write(tell, b"!")
    time.sleep(60)
os.read(counted, 1)
print(metrics.render().decode())
os.kill(child, 9), os.wait()
print("child gone", metrics.render().decode(), sep="\\n")
"""


def test_error_is_told_to_the_log_only(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """The client learns that there was an error, not which."""
    caplog.set_level(logging.INFO)

    def broken() -> None:
        raise ZeroDivisionError("a secret of the house")

    assert isinstance(client.app, FastAPI)
    client.app.get("/broken")(broken)
    response = client.get("/broken")
    assert (response.status_code, response.json()) == (500, {"detail": "internal server error"})
    assert "GET /broken 500" in caplog.text
{%- if cookiecutter.app_server == "gunicorn" %}
    assert "ZeroDivisionError: a secret of the house" in caplog.text
{%- endif %}


def test_log_line_is_json_with_the_true_client(client: TestClient, caplog: pytest.LogCaptureFixture) -> None:
    """The proxy says who the client is and which scheme it used."""
    caplog.set_level(logging.INFO)
    client.get("/health/live", headers={"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"})
    record = next(record for record in caplog.records if record.message == "GET /health/live 200")
    line = json.loads(JsonFormatter().format(record))
    assert (line["client"], line["path"], line["status"]) == ("192.0.2.7", "/health/live", 200)
    assert line["level"] == "info"


def test_requests_are_counted_by_route_not_by_path(client: TestClient) -> None:
    """A million paths must not become a million counters."""

    def count(route: str) -> float:
        labels = {"method": "GET", "route": route, "status": "404"}
        return REGISTRY.get_sample_value("http_requests_total", labels) or 0

    notes, unknown = count("/notes/{note_id}"), count("unknown")
    for path in ("/notes/1", "/notes/2", "/no/such/path", "/nor/this"):
        client.get(path)
    client.request("BREW", "/notes")
    assert (count("/notes/{note_id}"), count("unknown")) == (notes + 2, unknown + 2)
    metrics = client.get("/metrics").text
    assert "/notes/1" not in metrics
    assert "BREW" not in metrics


def test_metrics_of_all_workers_whichever_is_asked(tmp_path: Path) -> None:
    """Counts add up and stay; CPU and memory are there for each process that is alive."""
    run = subprocess.run(  # noqa: S603
        [sys.executable, "-c", SCRAPE],
        env=os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    both, one = run.stdout.split("child gone")
    for metrics, alive in ((both, 2), (one, 1)):
        assert 'http_requests_total{method="GET",route="/notes",status="200"} 2.0' in metrics
        assert metrics.count("process_cpu_seconds_total{pid=") == alive
        assert metrics.count("process_resident_memory_bytes{pid=") == alive
