"""What of the rendered manifests is applied in a namespace of the checks, and what differs from production there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

from pytest_deploycheck.config import Config
from pytest_deploycheck.probes import inside as probe
from pytest_deploycheck.probes.inside.deploycheck_mark import LOG
from pytest_deploycheck.stacks.compose.images import LEFT_OUT
from pytest_deploycheck.stacks.kubernetes.cluster import inside
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, Object, at, named

# Kinds whose objects do nothing outside of their namespace. A Gateway would take the requests of the domain, an Issuer
# ask for its certificate, a CronJob do its work a second time.
APPLIED = (
    "ServiceAccount",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "PersistentVolumeClaim",
    "NetworkPolicy",
    "PodDisruptionBudget",
    "Service",
    "StatefulSet",
    "Deployment",
    "Job",
)
WHY_NOT = {
    "Namespace": "the checks have namespaces of their own, with its labels for pod security",
    "Secret": "its values come from {env_file}",  # nosec B105  (where they come from)
    "HorizontalPodAutoscaler": "as many pods as it keeps at least",
}
PUBLIC = "it is public, or works outside of its namespace"
PROBE = "/deploycheck"
PROBE_NAME, FILES_NAME, LINE_NAME = "deploycheck-probe", "deploycheck-files", "deploycheck-line"
LINE_LABELS = {"deploycheck/part": "line"}
WAITS = (
    "import os, signal; signal.signal(signal.SIGTERM, lambda *_: os._exit(0)); print(os.getcwd(), flush=True); "
    "signal.pause()"
)


@dataclass(frozen=True, kw_only=True)
class Release:
    """What the checks put into each container of the app.

    Attributes:
        image: what runs in place of the app's own image.
        folder: where that has the project.
        variables: beside those of the manifests.
        secrets: the values of all Secrets.
        replicas: how many pods there are.
    """

    image: str
    folder: str
    variables: Mapping[str, str]
    secrets: Mapping[str, str]
    replicas: int


def sorted_out(found: Manifests, config: Config) -> tuple[list[Object], list[str]]:
    """Return the objects that are applied, and why the others are not, a line each."""
    applied = [thing for kind in APPLIED for thing in found.of_kind(kind)]
    left = [thing for thing in found.objects if thing not in applied]
    reasons = (WHY_NOT.get(str(thing.get("kind")), PUBLIC).format(env_file=config.env_file) for thing in left)
    return applied, [
        f"{named(thing)} -> not applied: {reason}" for thing, reason in zip(left, reasons, strict=True)
    ]


def namespace_of(found: Manifests, name: str, labels: Mapping[str, str]) -> Object:
    """Return a namespace that lets in what that of the manifests lets in."""
    own = [item for item in found.of_kind("Namespace") for item in at(item, "metadata.labels", {}).items()]
    security = {key: value for key, value in own if key.startswith("pod-security.kubernetes.io/")}
    return {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": name, "labels": {**security, **labels}},
    }


def probe_files() -> Object:
    """Return what is loaded into the processes of the pods, and runs beside them."""
    files = [*Path(probe.__file__).parent.glob("*.py"), *Path(inside.__file__).parent.glob("*.py")]
    data = {file.name: file.read_text(encoding="utf-8") for file in files if file.name != "__init__.py"}
    return _config_map(PROBE_NAME, data)


def line_pod(found: Manifests, image: str) -> Object:
    """Return the pod at which the line from this machine ends: it runs the app's image, for that has a Python."""
    own = found.container
    context = {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    container = {
        "name": "line",
        "image": image,
        "command": ["python3", "-S", "-c", WAITS],
        "securityContext": context,
        "resources": {"requests": {"cpu": "100m", "memory": "32Mi"}, "limits": {"memory": "256Mi"}},
        "volumeMounts": [{"name": PROBE_NAME, "mountPath": PROBE}],
    }
    if "imagePullPolicy" in own:
        container["imagePullPolicy"] = own["imagePullPolicy"]
    kept = ("securityContext", "imagePullSecrets", "nodeSelector", "tolerations")
    spec = {
        **{key: found.pod[key] for key in kept if key in found.pod},
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "containers": [container],
        "volumes": [{"name": PROBE_NAME, "configMap": {"name": PROBE_NAME}}],
    }
    metadata = {"name": LINE_NAME, "labels": LINE_LABELS}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def line_policy(found: Manifests) -> Object:
    """Return what lets the line through, where the manifests let only the gateway and PostgreSQL through."""
    line = {"podSelector": {"matchLabels": LINE_LABELS}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": LINE_NAME},
        "spec": {
            "podSelector": {"matchLabels": dict(found.labels)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [line]}],
            "egress": [{"to": [line]}],
        },
    }


def secrets_of(found: Manifests, values: Mapping[str, str]) -> Iterator[Object]:
    """Yield each Secret that a container of the app asks for."""
    names: dict[str, set[str]] = {}
    for container in found.containers:
        for source in container.get("envFrom") or ():
            if name := at(source, "secretRef.name"):
                names.setdefault(name, set()).update(values)
        for variable in container.get("env") or ():
            if reference := at(variable, "valueFrom.secretKeyRef"):
                names.setdefault(reference["name"], set()).add(reference["key"])
    for name, keys in names.items():
        data = {key: values[key] for key in sorted(keys) if key in values}
        yield {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def changed_files(root: Path, original: Path, env_file: str) -> dict[str, str]:
    """Return the text of each file of a copy that the project has not, or has otherwise, by its path in the project."""
    found = {}
    for file in sorted(root.rglob("*")):
        relative = file.relative_to(root)
        if set(relative.parts) & LEFT_OUT or str(relative) == env_file or not file.is_file():
            continue
        there = original / relative
        if not there.is_file() or there.read_bytes() != file.read_bytes():
            found[str(relative)] = file.read_text(encoding="utf-8", errors="replace")
    return found


def changed(thing: Object, found: Manifests, release: Release, files: Mapping[str, str]) -> dict[str, Any]:
    """Return an object of the manifests as the checks apply it."""
    made: dict[str, Any] = json.loads(json.dumps(thing))
    made["metadata"].pop("namespace", None)
    _name_protocols(made)
    if made["kind"] == "Service" and at(made, "spec.type") in ("LoadBalancer", "NodePort"):
        made["spec"]["type"] = "ClusterIP"
        for port in made["spec"].get("ports", ()):
            port.pop("nodePort", None)
    if thing is found.app:
        made["spec"]["replicas"] = release.replicas
    if thing is found.app or made["kind"] == "Job":
        _equip(made["spec"]["template"]["spec"], str(found.container.get("image")), release, files)
    return made


def _name_protocols(thing: dict[str, Any]) -> None:
    """Write the usual protocol to each port: API servers before 1.22 cannot merge ports without one."""
    pod = at(thing, "spec.template.spec", {})
    holders = [thing["spec"]] if thing["kind"] == "Service" else at(pod, "containers", ())
    for port in (port for holder in holders for port in holder.get("ports") or ()):
        port.setdefault("protocol", "TCP")


def without(thing: Object, path: str) -> dict[str, Any]:
    """Return an object without the field at a path as API servers write it: ``.spec.containers[name="app"].image``."""
    made: dict[str, Any] = json.loads(json.dumps(thing))
    *way, last = re.findall(r'\.?([\w-]+|\[\w+="[^"]*"\])', path)
    place: Any = made
    for word in way:
        if word.startswith("["):
            key, _, value = word.strip("[]").partition("=")
            place = next(item for item in place if item.get(key) == value.strip('"'))
        else:
            place = place[word]
    del place[last]
    return made


def files_name(files: Mapping[str, str]) -> str:
    """Return the name of the ConfigMap with the files: another one for others, so that pods are replaced."""
    return f"{FILES_NAME}-{crc32(repr(sorted(files.items())).encode()):08x}"


def files_of(files: Mapping[str, str]) -> Object:
    """Return the ConfigMap with the files of a release that the image has otherwise."""
    return _config_map(files_name(files), {f"file-{n}": text for n, text in enumerate(files.values())})


def _config_map(name: str, data: Mapping[str, str]) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": dict(data)}


def _equip(pod: dict[str, Any], own: str, release: Release, files: Mapping[str, str]) -> None:
    """Put the probe, and the files of the release, into each container of a pod that has the app's image."""
    variables = {"PYTHONPATH": PROBE, "DEPLOYCHECK_EVENTS": LOG, **release.variables}
    mounts = [{"name": PROBE_NAME, "mountPath": PROBE}]
    mounts += [
        {"name": FILES_NAME, "mountPath": f"{release.folder}/{path}", "subPath": f"file-{n}"}
        for n, path in enumerate(files)
    ]
    volumes = pod.setdefault("volumes", [])
    volumes.append({"name": PROBE_NAME, "configMap": {"name": PROBE_NAME}})
    if files:
        volumes.append({"name": FILES_NAME, "configMap": {"name": files_name(files)}})
    for container in (*pod.get("initContainers", ()), *pod["containers"]):
        if container.get("image") != own:
            continue
        container["image"] = release.image
        there = [item for item in container.get("env") or () if item["name"] not in variables]
        container["env"] = [
            *there,
            {"name": "DEPLOYCHECK_POD", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}},
            *({"name": name, "value": value} for name, value in variables.items()),
        ]
        container["volumeMounts"] = [*(container.get("volumeMounts") or ()), *mounts]
