"""What a platform's file grants the container, in the same words for each platform."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pytest_deploycheck.stacks.protocol import StackError

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, None: 1}
SIZE = re.compile(r"(\d+)\s*(mb|gb|mi|gi|m|g)?i?b?", re.IGNORECASE)
# https://render.com/pricing: memory of an instance in MiB.
RENDER_PLANS = {
    "free": 512,
    "starter": 512,
    "standard": 2048,
    "pro": 4096,
    "pro plus": 8192,
    "pro max": 16384,
}
Table = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Grants:
    """One platform's file. What it has no word for is None.

    Attributes:
        platform: how people call it.
        file: relative to the project.
        port: at which the edge reaches the container.
        memory_mb: the limit, in MiB; None also where the file could say one.
        stop_signal, stop_grace_s: how it is stopped, and how many seconds it gets.
        ready, live: paths that are asked before it gets requests, and to find out whether it hangs.
        start_s: how long it may take to be ready.
        steps: what runs before a release serves, and for how long at most; empty for nothing.
        fewest, most: how many containers there are.
        environment: the variables; None for a secret.
        restarts: whether it is started again whatever its exit status.
        starts_itself: whether nobody has to start it.
        redirects: whether plain HTTP is sent to HTTPS.
        beside_the_edge: whether the world gets round the edge.
        one_after_the_other: whether a new release replaces containers when it is ready, and not all at once.
    """

    platform: str
    file: str
    port: int | None = None
    memory_mb: int | None = None
    stop_signal: str = "SIGTERM"
    stop_grace_s: float
    ready: str = ""
    live: str = ""
    start_s: float | None = None
    steps: str = ""
    steps_s: float | None = None
    fewest: int
    most: int | None = None
    environment: Mapping[str, str | None] = field(default_factory=dict)
    restarts: bool | None = None
    starts_itself: bool | None = None
    redirects: bool | None = None
    beside_the_edge: bool | None = None
    one_after_the_other: bool = True

    def __post_init__(self) -> None:
        """Refuse what is no text where a text must be.

        Raises:
            TypeError: there is such a thing.
        """
        for name in ("stop_signal", "ready", "live", "steps"):
            if not isinstance(value := getattr(self, name), str):
                raise TypeError(f"{value!r:.40} is no text")


def read_grants(root: Path, platforms: Mapping[str, str]) -> list[Grants]:
    """Read the files of all platforms of a contract.

    Raises:
        StackError: one is unknown, or its file cannot be read; the message names it.
    """
    found = []
    for name, file in platforms.items():
        if name not in READERS:
            raise StackError(f"[platforms] {name} is not known: there are {', '.join(READERS)}")
        try:
            found.append(READERS[name](file, (root / file).read_text(encoding="utf-8")))
        except (OSError, ValueError, YAMLError, LookupError, TypeError, AttributeError) as error:
            said = " ".join(str(error).split())
            raise StackError(f"{file}: it cannot be read as a file of {name}: {said:.120}") from None
    return found


def fly(file: str, text: str) -> Grants:
    """Read ``fly.toml``: https://fly.io/docs/reference/configuration/."""
    found: Table = tomllib.loads(text)
    service: Table = found.get("http_service") or {}
    deploy: Table = found.get("deploy") or {}
    check: Table = next(iter(service.get("checks") or ()), {})
    machine: Table = next(iter(found.get("vm") or ()), {})
    policies = [restart.get("policy") for restart in found.get("restart") or ()]
    fewest = int(service.get("min_machines_running", 0))
    memory = machine.get("memory", machine.get("memory_mb"))
    return Grants(
        platform="Fly.io",
        file=file,
        port=service.get("internal_port"),
        memory_mb=memory and size_mb(memory),
        stop_signal=found.get("kill_signal", "SIGINT"),
        stop_grace_s=seconds(found.get("kill_timeout", 5)),
        ready=check.get("path", ""),
        start_s=seconds(check.get("grace_period", 0)) if check else None,
        steps=deploy.get("release_command", ""),
        steps_s=seconds(deploy.get("release_command_timeout", "5m")),
        fewest=fewest,
        environment=variables((found.get("env") or {}).items()),
        restarts=policies == ["always"],
        starts_itself=bool(fewest or service.get("auto_start_machines")),
        redirects=bool(service.get("force_https")),
        beside_the_edge="services" in found,
        one_after_the_other=deploy.get("strategy", "rolling") != "immediate" and bool(check),
    )


def cloud_run(file: str, text: str) -> Grants:
    """Read a Service and a Job: https://cloud.google.com/run/docs/reference/yaml/v1.

    How many there are at most can be said of all releases together, or of each:
    https://cloud.google.com/run/docs/configuring/max-instances.
    """
    documents = [item for item in YAML(typ="safe", pure=True).load_all(text) if item]
    service = first((item for item in documents if item["kind"] == "Service"), "Service")
    job = next((item for item in documents if item["kind"] == "Job"), None)
    revision = service["spec"]["template"]
    notes = revision.get("metadata", {}).get("annotations", {})
    of_all = service.get("metadata", {}).get("annotations", {})
    container = revision["spec"]["containers"][0]
    startup, live = container.get("startupProbe") or {}, container.get("livenessProbe") or {}
    task: Table = job["spec"]["template"]["spec"]["template"]["spec"] if job else {}
    step: Table = next(iter(task.get("containers") or ()), {})
    memory = container.get("resources", {}).get("limits", {}).get("memory")
    patience_s = int(startup.get("failureThreshold", 3)) * int(startup.get("periodSeconds", 10))
    most = [
        int(number) * releases
        for number, releases in (
            (of_all.get("run.googleapis.com/maxScale"), 1),
            # While a release is replaced, there are two of them.
            (notes.get("autoscaling.knative.dev/maxScale"), 2),
        )
        if number is not None
    ]
    return Grants(
        platform="Cloud Run",
        file=file,
        memory_mb=memory and size_mb(memory),
        stop_grace_s=10,  # https://cloud.google.com/run/docs/container-contract#instance-shutdown
        ready=startup.get("httpGet", {}).get("path", ""),
        live=live.get("httpGet", {}).get("path", ""),
        start_s=patience_s if startup else 240,
        steps=" ".join([*step.get("command", ()), *step.get("args", ())]),
        steps_s=float(task.get("timeoutSeconds", 600)),
        fewest=int(notes.get("autoscaling.knative.dev/minScale", 0)),
        most=min(most, default=None),
        environment=variables((one["name"], one.get("value")) for one in container.get("env") or ()),
        one_after_the_other="httpGet" in startup,
    )


def render(file: str, text: str) -> Grants:
    """Read a Blueprint: https://render.com/docs/blueprint-spec."""
    found = YAML(typ="safe", pure=True).load(text)
    service = first((item for item in found["services"] if item["type"] == "web"), "service of type web")
    scaling = service.get("scaling") or {}
    fewest = int(scaling.get("minInstances", service.get("numInstances", 1)))
    return Grants(
        platform="Render",
        file=file,
        memory_mb=RENDER_PLANS.get(str(service.get("plan", "starter"))),
        stop_grace_s=float(service.get("maxShutdownDelaySeconds", 30)),
        ready=service.get("healthCheckPath", ""),
        live="",
        steps=service.get("preDeployCommand", ""),
        fewest=fewest,
        most=int(scaling.get("maxInstances", fewest)),
        environment=variables(
            (one["key"], one.get("value")) for one in service.get("envVars") or () if "key" in one
        ),
        one_after_the_other="healthCheckPath" in service,
    )


READERS: Mapping[str, Callable[[str, str], Grants]] = {"cloud-run": cloud_run, "fly": fly, "render": render}


def first(items: Iterable[Any], what: str) -> Any:
    """Return the first of some things.

    Raises:
        ValueError: there is none.
    """
    for item in items:
        return item
    raise ValueError(f"there is no {what}")


def variables(pairs: Iterable[tuple[object, object]]) -> dict[str, str | None]:
    """Return variables as the container gets them; one without a value is a secret."""
    return {str(name): None if value is None else str(value) for name, value in pairs}


def seconds(value: object) -> float:
    """Return a duration such as ``10s``, ``5m`` or 5, in seconds."""
    match = DURATION.fullmatch(str(value))
    if not match:
        raise ValueError(f"{value!r} is no duration such as 10s")
    return float(match[1]) * SECONDS[match[2]]


def size_mb(value: object) -> int:
    """Return a size such as ``512mb``, ``1Gi`` or 512, in MiB."""
    match = SIZE.fullmatch(str(value))
    if not match:
        raise ValueError(f"{value!r} is no size such as 512Mi")
    return int(match[1]) * (1024 if (match[2] or "m").lower().startswith("g") else 1)
