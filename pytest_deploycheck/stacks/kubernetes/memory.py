"""What pods may use of a machine, and what makes more of them."""

from __future__ import annotations

from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import NotApplicable, NotVerified
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, at, named, quantity
from pytest_deploycheck.stacks.kubernetes.promise import promises

BAND = range(50, 91)
PROMISES, promise = promises()


@promise("MEM001", "Deployment: resources")
def the_budget_is_reserved(found: Manifests, config: Config) -> None:
    """What the app is declared to need is what the scheduler reserves for it."""
    if config.memory_limit_mb is None:
        raise NotApplicable("no limit is declared: [tool.deploycheck] memory_limit_mb")
    limit = at(found.container, "resources.limits.memory")
    reserved = at(found.container, "resources.requests.memory", limit)  # Kubernetes takes the limit too
    assert reserved is not None, (
        f"{named(found.app)}: no resources.requests.memory: any machine takes any number of pods"
    )
    needed = config.memory_limit_mb * 2**20
    assert quantity(reserved) >= needed, (
        f"{named(found.app)}: requests.memory {reserved}, and memory_limit_mb is {config.memory_limit_mb}"
    )


@promise("MEM002", "Deployment: resources.limits.memory")
def there_is_a_limit(found: Manifests, _: Config) -> None:
    """The kernel ends what grows above it, and kubelet starts it again."""
    for container in found.containers:
        assert at(container, "resources.limits.memory"), (
            f"{named(found.app)}: container {container.get('name')}: no resources.limits.memory: "
            "a leak takes the machine's, and with it other pods"
        )


@promise("RES001", "Deployment: prometheus.io annotations; PodMonitor, ServiceMonitor")
def utilization_is_collected(found: Manifests, config: Config) -> None:
    """Somebody is told where the metrics are."""
    notes = at(found.app, "spec.template.metadata.annotations", {})
    path = notes.get("prometheus.io/path", "/metrics")
    told = notes.get("prometheus.io/scrape") == "true" and path == config.requests.metrics
    assert told or found.of_kind("PodMonitor", "ServiceMonitor"), (
        f"{named(found.app)}: nobody collects {config.requests.metrics}: annotations prometheus.io/scrape and /path, "
        "or a PodMonitor"
    )


@promise("RES002", "HorizontalPodAutoscaler: metrics; Deployment: resources.requests.cpu")
def load_makes_more_pods(found: Manifests, _: Config) -> None:
    """There are as many pods as keep the CPUs between 50 and 90 % busy."""
    scaler = found.autoscaler
    if scaler is None:
        raise NotVerified(
            f"{named(found.app)}: a fixed number of pods: how busy they are, only traffic shows"
        )
    assert at(found.container, "resources.requests.cpu"), (
        f"{named(found.app)}: no resources.requests.cpu, so the autoscaler knows no utilization"
    )
    targets = [
        at(metric, "resource.target.averageUtilization")
        for metric in at(scaler, "spec.metrics", ())
        if at(metric, "resource.name") == "cpu"
    ]
    assert any(targets), f"{named(scaler)}: the utilization of the CPU is none of its metrics"
    assert all(target in BAND for target in targets), (
        f"{named(scaler)}: CPU utilization {targets}: between {BAND[0]} and {BAND[-1]}"
    )


@promise("RES005", "Deployment: readOnlyRootFilesystem, emptyDir")
def nothing_fills_the_disk(found: Manifests, _: Config) -> None:
    """Logs go to the container runtime, which rotates them; all else that is written has a bound."""
    for container in found.containers:
        assert at(container, "securityContext.readOnlyRootFilesystem") is True, (
            f"{named(found.app)}: container {container.get('name')}: what it writes fills the machine's disk: "
            "readOnlyRootFilesystem: true"
        )
    for volume in at(found.pod, "volumes", ()):
        if "emptyDir" in volume:
            assert at(volume, "emptyDir.sizeLimit"), (
                f"{named(found.app)}: volume {volume['name']}: no sizeLimit"
            )
