"""How many pods there are, how one release follows another, and what is done before a new one serves."""

from __future__ import annotations

import math
import re

from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import NotApplicable
from pytest_deploycheck.stacks.kubernetes.manifests import (
    Manifests,
    Object,
    at,
    line_of,
    named,
    quantity,
    selects,
)
from pytest_deploycheck.stacks.kubernetes.pods import GRACE_S, asks, probe
from pytest_deploycheck.stacks.kubernetes.promise import promises

# For the requests that are in flight when a pod is told to go, in seconds.
FINISH_S = 10
# What PostgreSQL keeps for superusers: superuser_reserved_connections.
RESERVED = 3
PROMISES, promise = promises()


def strategy(found: Manifests, field: str, default: str) -> int:
    """Return maxSurge or maxUnavailable as a number of pods, of so many as there are at most."""
    value = str(at(found.app, f"spec.strategy.rollingUpdate.{field}", default))
    if not value.endswith("%"):
        return int(value)
    share = found.most * int(value[:-1]) / 100
    return math.ceil(share) if field == "maxSurge" else math.floor(share)


def runners(found: Manifests, config: Config) -> list[tuple[Object, Object]]:
    """Return who runs the previous steps.

    Raises:
        NotApplicable: the project names none.
    """
    if config.previous_steps is None:
        raise NotApplicable("no previous steps are declared: [tool.deploycheck] previous_steps")
    return list(found.runs(config.previous_steps))


def seconds_of(hook: Object) -> int:
    """Return how long a preStop hook waits, in seconds."""
    if "sleep" in hook:
        return int(at(hook, "sleep.seconds", 0))
    said = re.search(r"sleep (\d+)", " ".join(map(str, at(hook, "exec.command", ()))))
    return int(said[1]) if said else 0


@promise("RST008", "Deployment: terminationGracePeriodSeconds, preStop")
def requests_may_finish(found: Manifests, _: Config) -> None:
    """The grace is for preStop and for what is in flight after it."""
    grace = int(at(found.pod, "terminationGracePeriodSeconds", GRACE_S))
    waits = seconds_of(at(found.container, "lifecycle.preStop", {}))
    assert grace - waits >= FINISH_S, (
        f"{named(found.app)}: terminationGracePeriodSeconds {grace}, of which preStop takes {waits}: "
        f"at least {FINISH_S} more for requests in flight"
    )


@promise("RST009", "Deployment: strategy, preStop, image; PodDisruptionBudget")
def releases_drop_nobody(found: Manifests, _: Config) -> None:
    """An old pod goes when a new one is ready, and still answers while everybody hears of it."""
    where = named(found.app)
    assert at(found.app, "spec.strategy.type", "RollingUpdate") == "RollingUpdate", (
        f"{where}: strategy {at(found.app, 'spec.strategy.type')}: all pods go before a new one comes: RollingUpdate"
    )
    assert strategy(found, "maxUnavailable", "25%") < found.fewest, (
        f"{where}: maxUnavailable lets all pods go at once"
    )
    assert probe(found.container, "readiness"), (
        f"{where}: no readinessProbe: old pods go before new ones answer"
    )
    assert seconds_of(at(found.container, "lifecycle.preStop", {})) > 0, (
        f"{where}: no preStop that waits: gateways send requests to a pod that is gone already: sleep for some seconds"
    )
    for container in found.containers:
        image = str(container.get("image"))
        tag = image.rpartition("/")[2].partition(":")[2]
        assert "@sha256:" in image or tag not in ("", "latest"), (
            f"{where}: image {image}: which release it is changes with the day: a tag of each release"
        )
    budgets = found.of_kind("PodDisruptionBudget")
    assert any(selects(at(budget, "spec.selector.matchLabels", {}), found.labels) for budget in budgets), (
        f"{where}: no PodDisruptionBudget: who empties a machine may take all pods at once"
    )


@promise("REP001", "ConfigMap: the setting of workers; HorizontalPodAutoscaler: minReplicas")
def one_process_in_each_pod(found: Manifests, config: Config) -> None:
    """Pods are counted, so each of them has one server process."""
    setting = config.settings.get("workers", "WEB_CONCURRENCY")
    here = found.environment(found.container).get(setting)
    assert here in (None, str(config.workers)), (
        f"{setting} is {here} in the pods, and [tool.deploycheck] workers is {config.workers}"
    )


@promise("REP002", "HorizontalPodAutoscaler: scaleTargetRef; Deployment: replicas")
def the_number_is_obeyed(found: Manifests, _: Config) -> None:
    """One of them says how many pods there are: the other would take it back with each release."""
    replicas = at(found.app, "spec.replicas")
    assert found.autoscaler is None or replicas is None, (
        f"{named(found.app)}: replicas: {replicas} undoes at each release what the autoscaler has decided: delete it"
    )
    assert found.fewest <= found.most, f"{named(found.autoscaler or {})}: minReplicas above maxReplicas"


@promise("REP004", "Deployment: volumes, env")
def pods_share_the_database(found: Manifests, config: Config) -> None:
    """What one pod writes, all read."""
    here = found.environment(found.container).get(config.settings.get("database_url", "DATABASE_URL"))
    url = here or config.database_url or ""
    assert not url.startswith("sqlite") or found.most == 1, (
        f"{named(found.app)}: {found.most} pods with a SQLite file each say different things: PostgreSQL"
    )


@promise("REP006", "Deployment: resources.requests.cpu; ConfigMap: the setting of workers")
def processes_fit_the_cpus(found: Manifests, config: Config) -> None:
    """No more processes than two for each CPU and one more."""
    cpus = math.ceil(quantity(at(found.container, "resources.requests.cpu", "1")))
    setting = config.settings.get("workers", "WEB_CONCURRENCY")
    here = found.environment(found.container).get(setting) or str(config.workers)
    assert not here.isdecimal() or int(here) <= 2 * cpus + 1, (
        f"{setting}={here} in a pod that asks for {cpus} CPU: at most {2 * cpus + 1}"
    )


@promise(
    "REP007", "HorizontalPodAutoscaler: maxReplicas; Deployment: maxSurge; ConfigMap: DATABASE_CONNECTIONS"
)
def the_database_takes_all_pools(found: Manifests, config: Config) -> None:
    """All pods, and those that a release adds, have their pool."""
    if config.max_connections is None:
        raise NotApplicable("it is not known how many the server takes: [tool.deploycheck] max_connections")
    pool = found.environment(found.container).get("DATABASE_CONNECTIONS")
    if pool is None:
        raise NotApplicable("the pods have no DATABASE_CONNECTIONS")
    pods = found.most + strategy(found, "maxSurge", "25%")
    assert pods * int(pool) <= config.max_connections - RESERVED, (
        f"{pods} pods (maxReplicas {found.most}, and those of a release) x DATABASE_CONNECTIONS {pool} = "
        f"{pods * int(pool)}, and the server takes {config.max_connections - RESERVED}: see docs/sizing"
    )


@promise("PRE001", "Deployment: initContainers; Job; readinessProbe")
def the_schema_is_first(found: Manifests, config: Config) -> None:
    """They run before the pod's server; or beside, and nobody is ready before they are done."""
    who = runners(found, config)
    assert who, f"nobody runs {config.previous_steps}: an init container of {named(found.app)}, or a Job"
    in_pods = any(container in at(found.pod, "initContainers", ()) for _, container in who)
    assert in_pods or container_runs(found, config) or asks(found, "readiness") == config.requests.ready, (
        f"a Job runs {config.previous_steps}, and pods do not wait for it: readinessProbe with {config.requests.ready}"
    )


def container_runs(found: Manifests, config: Config) -> bool:
    """Tell whether the server's own container runs the previous steps."""
    return (config.previous_steps or "\0") in line_of(found.container)


@promise("PRE002", "Deployment: initContainers; Job")
def one_runner(found: Manifests, config: Config) -> None:
    """One place runs them. Of many pods at once, the lock lets one do the work."""
    who = [f"{named(thing)}: {container.get('name')}" for thing, container in runners(found, config)]
    assert len(who) < 2, f"{config.previous_steps} is run by {' and by '.join(who)}: by one of them"


@promise("PRE004", "Deployment: initContainers, strategy")
def failed_steps_stop_it(found: Manifests, config: Config) -> None:
    """Their exit status counts, and the old pods serve on."""
    for thing, container in runners(found, config):
        said = line_of(container)
        assert not re.search(r"\|\||;", said), f"{named(thing)}: {said!r} goes on after a failure"
    assert at(found.app, "spec.strategy.type", "RollingUpdate") == "RollingUpdate", (
        f"{named(found.app)}: strategy Recreate: the running release is gone when the new one fails"
    )


@promise("PRE005", "Deployment: containers[].command")
def restarts_do_not_repeat_them(found: Manifests, config: Config) -> None:
    """Kubelet starts a container again, and not the init containers before it."""
    runners(found, config)
    assert not container_runs(found, config), (
        f"{named(found.app)}: {line_of(found.container)!r} runs them at each restart: an init container"
    )


@promise("PRE009", "Deployment: initContainers; Job: activeDeadlineSeconds")
def long_migrations_may_end(found: Manifests, config: Config) -> None:
    """No probe and no deadline ends them."""
    for thing, container in runners(found, config):
        assert container is not found.container, (
            f"{named(thing)}: they run where probes end them: an init container"
        )
        for place in ("spec", "spec.template.spec"):
            deadline = at(thing, f"{place}.activeDeadlineSeconds")
            assert deadline is None, f"{named(thing)}: activeDeadlineSeconds {deadline} ends a long migration"
