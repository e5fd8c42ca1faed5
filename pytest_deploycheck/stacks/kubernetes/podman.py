"""Podman as the container runtime: it reads what is left to it of the manifests, and runs real containers.

``podman kube play`` 4.3 keeps images, commands, variables of a ConfigMap, init containers, the limit of memory and the
security context. It drops startup and readiness probes, preStop and the grace; its liveness probe needs curl in the
image and a timer of systemd; it cannot read a Secret's keys. All these are left to the process that stands for kubelet.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from pytest_deploycheck.config import Config
from pytest_deploycheck.probes import inside
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH
from pytest_deploycheck.stacks.contained.stack import IMAGE
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, Object, at
from pytest_deploycheck.stacks.kubernetes.terms import jobs

# Where containers see the processes of the whole machine: what the probe writes down are pids as the machine has them.
PROC = "/deploycheck/proc"
# What kubelet asks or runs, and what is published where there is a network of its own.
KUBELETS = ("ports", "startupProbe", "livenessProbe", "readinessProbe", "lifecycle")
USERS = ("runAsUser", "runAsGroup", "runAsNonRoot")
# Which configuration and storage it uses: https://docs.podman.io/en/v4.3/markdown/podman.1.html#environment-variables
VARIABLES = re.compile(r"CONTAINERS_|CONTAINER_HOST|STORAGE_")


def words(*arguments: str) -> list[str]:
    """Return a command line of podman, with the configuration that its user has chosen."""
    chosen = [f"{name}={value}" for name, value in os.environ.items() if VARIABLES.match(name)]
    return ["env", f"PATH={SYSTEM_PATH}", "HOME=/root", *chosen, "podman", *arguments]


def said(*arguments: str) -> str | None:
    """Return what podman prints; None where it says no."""
    done = subprocess.run(words(*arguments), capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


@lru_cache(maxsize=1)
def version() -> str:
    """Return the version, such as ``4.3.1``."""
    return said("version", "--format", "{{.Client.Version}}") or "of an unknown version"


@lru_cache(maxsize=4)
def missing(root: Path) -> str | None:
    """Return what podman needs to run a project's image on this machine, None if all is here. Nothing is downloaded."""
    if not shutil.which("podman", path=SYSTEM_PATH):
        return "podman (Debian: apt-get install podman crun)"
    if os.geteuid() != 0:
        return "root: only then can the processes in podman's containers be seen"
    if not (root / IMAGE).is_file():
        return f"a {IMAGE}, to build the image with"
    absent = [
        base for base in bases((root / IMAGE).read_text("utf-8")) if said("image", "exists", base) is None
    ]
    return f"an image: podman pull {' '.join(absent)}" if absent else None


def bases(dockerfile: str) -> list[str]:
    """Return the images that a Dockerfile begins with, and that it does not make itself."""
    defaults = dict(re.findall(r"^ARG\s+(\w+)=(\S+)", dockerfile, re.MULTILINE))
    stages = re.findall(
        r"^FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", dockerfile, re.MULTILINE | re.IGNORECASE
    )
    own = {name for _, name in stages if name} | {"scratch"}
    names = (re.sub(r"\$\{?(\w+)\}?", lambda match: defaults.get(match[1], ""), image) for image, _ in stages)
    return sorted({name for name in names if name and name not in own})


def steps_of(found: Manifests, config: Config) -> list[Object]:
    """Return the containers of the previous steps, as they are run before the pod's own."""
    return [
        *(item for item in at(found.pod, "initContainers", ()) if item.get("restartPolicy") != "Always"),
        *(item for job in jobs(found, config) for item in at(job, "spec.template.spec.containers", ())),
    ]


def pod_of(
    found: Manifests, copy: ProjectCopy, name: str, *, image: str, variables: Mapping[str, str]
) -> list[dict[str, Any]]:
    """Return what podman gets: the ConfigMaps, and a pod of the Deployment, less what is left to kubelet.

    Args:
        found: the manifests.
        copy: the copy that runs; containers see the folder of its run at the path that it has here.
        name: of the pod.
        image: the name of the image that was built of the copy.
        variables: those that stand for Secrets, and those of this machine.
    """
    own = found.container.get("image")
    pod = json.loads(json.dumps(found.pod))
    pod["initContainers"] = json.loads(json.dumps(steps_of(found, copy.run.config)))
    pod |= {"restartPolicy": "Never", "hostNetwork": True}
    hosts = {"run": str(copy.run.folder), "proc": "/proc", "probe": str(Path(inside.__file__).parent)}
    mounts = [{"name": key, "mountPath": PROC if key == "proc" else path} for key, path in hosts.items()]
    # Podman takes an emptyDir for a volume of the machine with this name.
    pod["volumes"] = [{**item, "name": f"{name}-{item['name']}"} for item in pod.get("volumes") or ()]
    pod["volumes"] += [{"name": key, "hostPath": {"path": path}} for key, path in hosts.items()]
    for container in (*pod["initContainers"], *pod["containers"]):
        for key in KUBELETS:
            container.pop(key, None)
        if container.get("image") == own:
            container["image"] = image
        sources = container.get("envFrom") or ()
        container["envFrom"] = [source for source in sources if "secretRef" not in source]
        container["env"] = [{"name": key, "value": value} for key, value in variables.items()]
        there = container.get("volumeMounts") or ()
        container["volumeMounts"] = [{**mount, "name": f"{name}-{mount['name']}"} for mount in there] + mounts
        _as_root(container)
    _as_root(pod)
    maps = [_moved(item, variables) for item in found.of_kind("ConfigMap")]
    whole = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod}
    return [*maps, whole]


def _moved(values: Object, variables: Mapping[str, str]) -> dict[str, Any]:
    """Return a ConfigMap with the values of here: for podman it beats ``env``, in a cluster ``env`` beats it."""
    data = {key: variables.get(key, value) for key, value in at(values, "data", {}).items()}
    return {**values, "metadata": {"name": at(values, "metadata.name")}, "data": data}


def _as_root(thing: dict[str, Any]) -> None:
    """Let the probe write into the folder of the run, which is root's; rights of root it has none all the same."""
    context = {key: value for key, value in (thing.get("securityContext") or {}).items() if key not in USERS}
    thing["securityContext"] = context | ({"runAsUser": 0} if "image" in thing else {})
