"""What kubelet is told to do with the pods of a Deployment, in the words of the process that stands for it."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace
from typing import Any

from pytest_deploycheck.config import Config
from pytest_deploycheck.detection.files import ProjectFiles
from pytest_deploycheck.detection.finding import Finding, ServerCommand
from pytest_deploycheck.detection.scripts import with_server
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.stacks.contained.stack import image_command
from pytest_deploycheck.stacks.contained.terms import Asking, Terms
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, Object, at, named, quantity, selects
from pytest_deploycheck.stacks.kubernetes.pods import FAILURES, GRACE_S, PERIOD_S, TIMEOUT_S, probe

KINDS = ("startup", "liveness", "readiness")


def terms_of(found: Manifests, config: Config) -> Terms:
    """Return what each pod of the app is promised.

    Raises:
        StackError: the project has no image.
        NotVerified: the manifests ask for something that has no stand-in here.
    """
    pod, container = found.pod, found.container
    grace_s = int(at(pod, "terminationGracePeriodSeconds", GRACE_S))
    limit = at(container, "resources.limits.memory")
    steps = [
        *(item for item in at(pod, "initContainers", ()) if item.get("restartPolicy") != "Always"),
        *(item for job in jobs(found, config) for item in at(job, "spec.template.spec.containers", ())),
    ]
    return Terms(
        keeper="kubelet",
        command=command_of(container, config),
        steps=tuple(command_of(step, config).line for step in steps),
        repeats_steps=True,
        port=port_of(found),
        probes={
            kind: asking(found, probe(container, kind), grace_s) for kind in KINDS if probe(container, kind)
        },
        before_stop=before_stop(found),
        stop_grace_s=grace_s,
        memory_mb=int(quantity(limit)) >> 20 if limit else None,
        read_only=at(container, "securityContext.readOnlyRootFilesystem") is True,
    )


def jobs(found: Manifests, config: Config) -> list[Object]:
    """Return the Jobs that run the previous steps."""
    runners = found.runs(config.previous_steps) if config.previous_steps else ()
    return [thing for thing, _ in runners if thing.get("kind") == "Job"]


def command_of(container: Object, config: Config) -> ServerCommand:
    """Return what a container runs: its ``command`` and ``args``, or what the image has in their place.

    https://kubernetes.io/docs/tasks/inject-data-application/define-command-argument-container
    """
    of_image = image_command(config.root)
    words = [str(word) for word in container.get("command") or ()]
    words += [str(word) for word in container.get("args") or ()]
    if not words:
        return of_image
    line = shlex.join(words)
    finding = Finding(kind="command", value=line, file=config.manager_config or "", line=1)
    changed = replace(of_image, line=line, is_shell=False, found=finding, server_line="", before="")
    return with_server(ProjectFiles(config.root), changed)


def port_of(found: Manifests) -> int:
    """Return the port of a pod to which the Service leads, else the first one that the container names."""
    ports = found.container.get("ports") or ()
    by_name = {port.get("name"): int(port["containerPort"]) for port in ports}
    for service in found.of_kind("Service"):
        if selects(at(service, "spec.selector", {}), found.labels):
            for port in at(service, "spec.ports", ()):
                target = port.get("targetPort", port.get("port"))
                return by_name.get(target) or int(target)
    for number in by_name.values():
        return number
    raise NotVerified(f"{named(found.app)}: nothing says at which port its pods listen")


def asking(found: Manifests, asked: Object, grace_s: int) -> Asking:
    """Return how a probe asks.

    Raises:
        NotVerified: it asks by gRPC.
    """
    if "grpc" in asked:
        raise NotVerified(f"{named(found.app)}: a probe asks by gRPC, and nobody here does")
    times: dict[str, Any] = {
        "delay_s": int(asked.get("initialDelaySeconds", 0)),
        "period_s": int(asked.get("periodSeconds", PERIOD_S)),
        "timeout_s": int(asked.get("timeoutSeconds", TIMEOUT_S)),
        "failures": int(asked.get("failureThreshold", FAILURES)),
        "successes": int(asked.get("successThreshold", 1)),
        "grace_s": int(asked.get("terminationGracePeriodSeconds", grace_s)),
    }
    command = shlex.join(map(str, at(asked, "exec.command", ())))
    path = str(at(asked, "httpGet.path", "/")) if "httpGet" in asked else ""
    return Asking(path=path, command=command, **times)


def before_stop(found: Manifests) -> str:
    """Return the command that a pod runs before SIGTERM; empty where there is none.

    Raises:
        NotVerified: it asks a route.
    """
    hook = at(found.container, "lifecycle.preStop", {})
    if "httpGet" in hook:
        raise NotVerified(f"{named(found.app)}: preStop asks a route, and nobody here does")
    if "sleep" in hook:
        return f"sleep {int(at(hook, 'sleep.seconds', 0))}"
    return shlex.join(map(str, at(hook, "exec.command", ())))


def variables(found: Manifests, values: dict[str, str]) -> dict[str, str]:
    """Return the variables of the app's container.

    Args:
        found: its manifests.
        values: those of the environment file, which stand for what is in the Secrets.
    """
    container = found.container
    has_secret = any(at(source, "secretRef") for source in container.get("envFrom") or ())
    given = {**values} if has_secret else {}
    for name, value in found.environment(container).items():
        if value is not None:
            given[name] = re.sub(r"\$\((\w+)\)", lambda match: given.get(match[1], match[0]), value)
        elif name in values:
            given[name] = values[name]
    return given
