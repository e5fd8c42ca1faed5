"""Whatever stands in a contract or in a platform's file: it is understood, or one line names the file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from fuzz import PROFILE, TEXTS
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.stacks.cloud.contract import Contract, read_contract
from pytest_deploycheck.stacks.cloud.grants import read_grants
from pytest_deploycheck.stacks.cloud.promises import PROMISES, Case, keep
from pytest_deploycheck.stacks.protocol import StackError

FILES = {
    "contract": """
[container]
port_variable = "PORT"
start_s = 60
read_only = true
previous_steps = "deploy/previous-steps"
[platforms]
fly = "fly.toml"
""",
    "fly": """
kill_signal = "SIGTERM"
kill_timeout = "10s"
[deploy]
release_command = "deploy/previous-steps"
release_command_timeout = "60m"
[env]
WEB_CONCURRENCY = "1"
DATABASE_CONNECTIONS = "5"
MEMORY_LIMIT_MB = "512"
[http_service]
internal_port = 8080
min_machines_running = 2
[[http_service.checks]]
path = "/health/ready"
grace_period = "60s"
[[restart]]
policy = "always"
[[vm]]
memory = "512mb"
""",
    "render": """
services:
  - type: web
    plan: starter
    numInstances: 2
    scaling: {minInstances: 2, maxInstances: 3}
    preDeployCommand: deploy/previous-steps
    healthCheckPath: /health/ready
    maxShutdownDelaySeconds: 30
    envVars:
      - {key: WEB_CONCURRENCY, value: "1"}
      - {key: DATABASE_CONNECTIONS, value: "5"}
      - {key: MEMORY_LIMIT_MB, value: "512"}
""",
    "cloud-run": """
kind: Job
spec: {template: {spec: {template: {spec: {timeoutSeconds: 3600, containers: [{command: [deploy/previous-steps]}]}}}}}
---
kind: Service
metadata:
  annotations: {run.googleapis.com/maxScale: "10"}
spec:
  template:
    metadata:
      annotations: {autoscaling.knative.dev/minScale: "2"}
    spec:
      containers:
        - env:
            - {name: WEB_CONCURRENCY, value: "1"}
            - {name: DATABASE_CONNECTIONS, value: "5"}
            - {name: MEMORY_LIMIT_MB, value: "512"}
          resources: {limits: {memory: 512Mi}}
          startupProbe: {httpGet: {path: /health/ready}, periodSeconds: 6, failureThreshold: 10}
          livenessProbe: {httpGet: {path: /health/live}}
""",
}
VALUES = TEXTS | st.sampled_from(
    ["[]", "{}", "null", "true", "-5", "1.5", '"5"', "[1]", "{a: 1}", "x: y: z", "!!python/x"]
)


NOT_SAID = "it is the platform's, and no file says it; read: file"
T = TypeVar("T")


def outcome(read: Callable[[], T]) -> tuple[str, T | None]:
    """Return the one line that is said, and what was read; any other error goes on."""
    try:
        return "", read()
    except (StackError, AssertionError, NotVerified) as error:
        said = str(error).split("\nassert ")[0]  # as pytest adds it
        return said.replace("\n", " IN TWO LINES "), None


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Return the settings of a project."""
    return Config(
        root=tmp_path,
        project="x",
        env={"WEB_CONCURRENCY": "1"},
        settings={},
        domain="example.com",
        manager_config="contract.toml",
        max_connections=100,
    )


def changed(text: str, where: int, value: str, *, is_line: bool) -> str:
    """Replace a line of a file, or what stands behind its first sign of a value."""
    lines = text.split("\n")
    number = where % len(lines)
    sign = next((sign for sign in (" = ", ": ") if sign in lines[number]), "")
    head = lines[number].partition(sign)[0] + sign if sign and not is_line else ""
    lines[number] = head + value
    return "\n".join(lines)


@PROFILE
@given(
    platform=st.sampled_from(["fly", "render", "cloud-run"]),
    where=st.integers(0, 60),
    value=VALUES,
    is_line=st.booleans(),
)
@example(platform="fly", where=8, value='"many"', is_line=False)
@example(platform="fly", where=9, value='"much"', is_line=False)
@example(platform="render", where=11, value="- {key: DATABASE_CONNECTIONS, value: many}", is_line=True)
def test_any_file_of_a_platform(
    config: Config, platform: str, where: int, value: str, *, is_line: bool
) -> None:
    """A right file with another value, or another line: each promise is kept or broken, and nothing else happens."""
    text = changed(FILES[platform], where, value, is_line=is_line)
    (config.root / "file").write_bytes(text.encode(errors="surrogatepass"))
    said, found = outcome(lambda: read_grants(config.root, {platform: "file"}))
    if not found:
        assert said.startswith("file: ")
        return
    case = Case(grants=found[0], contract=Contract(networks_variable="N", platforms={}), config=config)
    for check_id in PROMISES:
        said, _ = outcome(lambda name=check_id: keep(name, [case]))
        assert said.startswith("file: ") or said in ("", NOT_SAID)


@PROFILE
@given(where=st.integers(0, 12), value=VALUES, is_line=st.booleans())
def test_any_contract(tmp_path: Path, where: int, value: str, *, is_line: bool) -> None:
    """It is read, or one line names it."""
    file = tmp_path / "contract.toml"
    file.write_bytes(changed(FILES["contract"], where, value, is_line=is_line).encode(errors="surrogatepass"))
    said, found = outcome(lambda: read_contract(file, "contract.toml"))
    assert said.startswith("contract.toml: ") if found is None else found.stop_grace_s >= 0
