"""The pods: what starts them, what kubelet asks them, and when it replaces them."""

from __future__ import annotations

from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.stacks.contained.stack import IMAGE
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, Object, at, line_of, named
from pytest_deploycheck.stacks.kubernetes.promise import promises

# What kubelet takes where a probe does not say it:
# https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#Probe
PERIOD_S, TIMEOUT_S, FAILURES = 10, 1, 3
GRACE_S = 30
# The slowest start that is no failure, in seconds.
START_S = 30
PROMISES, promise = promises()


def probe(container: Object, kind: str) -> Object:
    """Return a probe; empty where there is none."""
    return container.get(f"{kind}Probe") or {}


def asks(found: Manifests, kind: str) -> str:
    """Return the path that a probe of the app asks; empty where it asks none."""
    return str(at(probe(found.container, kind), "httpGet.path", ""))


def patience_s(asked: Object) -> int:
    """Return how long a probe may fail until something is done, in seconds."""
    failures = int(asked.get("failureThreshold", FAILURES))
    return failures * int(asked.get("periodSeconds", PERIOD_S)) + int(asked.get("timeoutSeconds", TIMEOUT_S))


@promise("BOOT001", "Deployment: replicas, paused, securityContext; Namespace: pod-security labels")
def pods_are_let_in(found: Manifests, _: Config) -> None:
    """The cluster makes the pods by itself, and refuses none of them for what it may do."""
    assert found.fewest > 0, f"{named(found.app)}: replicas: 0, so nothing starts"
    assert not at(found.app, "spec.paused", default=False), f"{named(found.app)}: paused, so nothing starts"
    for container in found.containers:
        wrong = [field for field, right in restricted(found.pod, container).items() if not right]
        assert not wrong, (
            f"{named(found.app)}: container {container.get('name')}: {', '.join(wrong)}: "
            "a namespace that enforces the restricted profile lets no such pod in"
        )


def restricted(pod: Object, container: Object) -> dict[str, bool]:
    """Tell what the profile asks: https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted."""
    own, whole = container.get("securityContext") or {}, pod.get("securityContext") or {}

    def setting(field: str) -> object:
        return own.get(field, whole.get(field))

    return {
        "runAsNonRoot must be true": setting("runAsNonRoot") is True,
        "runAsUser must not be 0": setting("runAsUser") != 0,
        "seccompProfile must be RuntimeDefault": at(setting("seccompProfile"), "type")
        in ("RuntimeDefault", "Localhost"),
        "allowPrivilegeEscalation must be false": own.get("allowPrivilegeEscalation") is False,
        "privileged must not be set": not own.get("privileged"),
        "capabilities must drop ALL": "ALL" in at(own, "capabilities.drop", ()),
        "hostPath must not be mounted": not any("hostPath" in item for item in pod.get("volumes") or ()),
        "the machine's namespaces must not be used": not any(
            pod.get(field) for field in ("hostNetwork", "hostPID", "hostIPC")
        ),
    }


@promise("BOOT002", "Deployment: env, envFrom; ConfigMap: data")
def settings_are_there(found: Manifests, config: Config) -> None:
    """Each value that a deployment of this project has is given to each container of its pods."""
    for container in found.containers:
        outside = [source for source in container.get("envFrom") or () if at(source, "secretRef")]
        missing = sorted(set(config.env) - found.environment(container).keys())
        assert outside or not missing, (
            f"{named(found.app)}: container {container.get('name')}: {', '.join(missing)} of {config.env_file} "
            "is neither in its ConfigMap nor in its env"
        )


@promise("BOOT004", "Deployment: volumes")
def nothing_stale_is_left(found: Manifests, _: Config) -> None:
    """A pod that comes back finds no sockets, pid files or locks of one that died."""
    kept = [
        item["name"]
        for item in at(found.pod, "volumes", ())
        if {"persistentVolumeClaim", "hostPath"} & set(item)
    ]
    assert not kept, (
        f"{named(found.app)}: the volumes {', '.join(kept)} outlive the pod, with all that it left"
    )


@promise("BOOT007", "Deployment: readinessProbe")
def readiness_is_asked(found: Manifests, config: Config) -> None:
    """Who is not ready gets no requests."""
    ready = f"{config.requests.ready}"
    assert asks(found, "readiness") == ready, (
        f"{named(found.app)}: readinessProbe asks {asks(found, 'readiness') or 'no path'}: "
        f"httpGet with path {ready}, or requests come before they can be answered"
    )


@promise("BOOT008", "Deployment: command, args, env")
def no_development_mode(found: Manifests, config: Config) -> None:
    """Nothing turns it on; that the image's own command does not, its own checks show."""
    said = line_of(found.container)
    wrong = [word for word in ("--reload", "--debug", "fastapi dev") if word in said]
    assert not wrong, f"{named(found.app)}: {said!r}: {wrong[0]} is for development"
    mode = found.environment(found.container).get("ENVIRONMENT")
    assert mode in (None, "production"), f"ENVIRONMENT={mode} is not production"
    if not said and not (config.root / IMAGE).is_file():
        raise NotVerified(f"the pods run the image's own command, and there is no {IMAGE}")


@promise("RST002", "HorizontalPodAutoscaler: minReplicas; Deployment: topologySpreadConstraints")
def others_serve_meanwhile(found: Manifests, _: Config) -> None:
    """A pod that dies is made again, and is not the only one, nor are all of them on one machine."""
    assert found.fewest > 1, (
        f"{named(found.autoscaler or found.app)}: {found.fewest} pod: while it is replaced, nobody answers: at least 2"
    )
    apart = at(found.pod, "topologySpreadConstraints") or at(found.pod, "affinity.podAntiAffinity")
    assert apart, (
        f"{named(found.app)}: nothing keeps its pods apart, so one machine may have all of them: "
        "topologySpreadConstraints with kubernetes.io/hostname"
    )


@promise("RST003", "Deployment: restartPolicy")
def clean_exits_are_restarted(found: Manifests, _: Config) -> None:
    """Whatever it says, an exited server is started again."""
    policy = at(found.pod, "restartPolicy", "Always")
    assert policy == "Always", f"{named(found.app)}: restartPolicy {policy}: Always"


@promise("RST004", "Deployment: livenessProbe, terminationGracePeriodSeconds")
def hung_processes_are_replaced(found: Manifests, config: Config) -> None:
    """Kubelet asks, and a process that does not answer is gone in time: it is given its grace, and uses all of it."""
    asked = probe(found.container, "liveness")
    assert asked, f"{named(found.app)}: no livenessProbe, so a process that hangs stays"
    grace = asked.get(
        "terminationGracePeriodSeconds", at(found.pod, "terminationGracePeriodSeconds", GRACE_S)
    )
    longest = patience_s(asked) + int(grace)
    assert longest <= config.hang_timeout_s, (
        f"{named(found.app)}: a process that hangs is replaced after {longest} s (livenessProbe, and the grace of "
        f"{grace} s, which it uses up): hang_timeout_s is {config.hang_timeout_s}. "
        "The probe can have a terminationGracePeriodSeconds of its own"
    )


@promise("RST006", "Deployment: startupProbe")
def slow_starts_are_no_crashes(found: Manifests, _: Config) -> None:
    """Kubelet waits longer after each crash; but what it ends itself for being slow would never come up."""
    asked = probe(found.container, "startup")
    patience = (patience_s(asked) if asked else 0) + int(
        probe(found.container, "liveness").get("initialDelaySeconds", 0)
    )
    assert patience >= START_S or not probe(found.container, "liveness"), (
        f"{named(found.app)}: after {patience} s livenessProbe ends a process that still starts, again and again: "
        f"a startupProbe that waits {START_S} s"
    )


@promise("RST010", "Deployment: livenessProbe")
def liveness_leaves_the_database_alone(found: Manifests, config: Config) -> None:
    """Without a database all pods would be restarted, which does not bring it back."""
    path = asks(found, "liveness")
    assert not probe(found.container, "liveness") or path == config.requests.live, (
        f"{named(found.app)}: livenessProbe asks {path or 'no path'}: "
        f"{config.requests.live}, which does not ask the database"
    )


@promise("RST011", "Deployment: readinessProbe")
def readiness_can_go_red(found: Manifests, _: Config) -> None:
    """A status decides, not a port that is open, nor a command that cannot fail."""
    asked = probe(found.container, "readiness")
    said = " ".join(map(str, at(asked, "exec.command", ())))
    can = (
        "httpGet" in asked
        or "grpc" in asked
        or (said and said not in ("true", "/bin/true") and "||" not in said)
    )
    assert can, f"{named(found.app)}: readinessProbe cannot go red: httpGet"
