"""Kubernetes manifests as kubectl renders them, and the words in which answers speak of their fields."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pytest_deploycheck.detection.managers import RENDERERS
from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.stacks.protocol import StackError

RENDER_TIMEOUT_S = 60
# The first with a kustomize of today, says https://kubernetes.io/docs/tasks/manage-kubernetes-objects/kustomization;
# Debian 12 has an older one.
OLDEST_KUBECTL = (1, 21)
INSTALL = "install kubectl (https://kubernetes.io/docs/tasks/tools) 1.21 or newer, or kustomize"
# https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity
_UNITS = {"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_QUANTITY = re.compile(r"(?P<number>\d+(?:\.\d+)?)(?P<unit>m|k|M|G|Ki|Mi|Gi|)")

Object = Mapping[str, Any]


def is_kustomization(folder: Path) -> bool:
    """Tell whether kubectl renders this folder."""
    return any((folder / name).is_file() for name in ("kustomization.yaml", "kustomization.yml"))


def render(root: Path, folder: str) -> tuple[str, str]:
    """Return the command that rendered a folder of the project, and what it wrote.

    Raises:
        NotVerified: there is no such command, or it is too old.
        StackError: it refuses the folder.
    """
    here = "nothing here renders"
    for program, word in RENDERERS:
        if shutil.which(program):
            argv = [program, word, folder]
            done = subprocess.run(
                argv, cwd=root, capture_output=True, text=True, timeout=RENDER_TIMEOUT_S, check=False
            )
            if not done.returncode:
                return " ".join(argv), done.stdout
            if program != "kubectl" or (version := _version_of_kubectl()) >= OLDEST_KUBECTL:
                raise StackError(f"{folder}: {program}: {_reason(done.stderr).replace(f'{root}/', '')}")
            here = f"kubectl {'.'.join(map(str, version))} is too old to render"
    raise NotVerified(f"{here} {folder}: {INSTALL}")


def _version_of_kubectl() -> tuple[int, ...]:
    """Return the version of the program here, such as (1, 32); one that does not say its own is not called old."""
    argv = ["kubectl", "version", "--client", "--output=json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=RENDER_TIMEOUT_S, check=False)
    found = re.findall(r'"(?:major|minor)": *"(\d+)', done.stdout)
    return tuple(map(int, found)) or OLDEST_KUBECTL


def _reason(said: str) -> str:
    """Return the last line of an error; newer versions of kubectl log it, with time and place."""
    last = (said.strip().splitlines() or ["it says nothing"])[-1]
    logged = re.search(r'err="(.*)"$', last)
    return logged[1].replace('\\"', '"') if logged else last


def quantity(text: object) -> float:
    """Return an amount such as ``250m`` (0.25) or ``512Mi`` (536870912.0).

    Raises:
        AssertionError: it is none.
    """
    match = _QUANTITY.fullmatch(str(text))
    assert match, f"{text!r} is no quantity such as 250m or 512Mi"
    return float(match["number"]) * _UNITS[match["unit"]]


def at(value: Any, path: str, default: Any = None) -> Any:
    """Return what stands at a path such as ``spec.template.spec``; ``default`` where there is nothing."""
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return default if value is None else value


def named(thing: Object) -> str:
    """Return how people call an object: ``Deployment notes-api``."""
    return f"{thing.get('kind')} {at(thing, 'metadata.name')}"


@dataclass(frozen=True)
class Manifests:
    """All objects of one rendered folder."""

    folder: str
    objects: tuple[Object, ...]

    @classmethod
    def parsed(cls, folder: str, text: str) -> Manifests:
        """Read what was rendered.

        Raises:
            StackError: it is no YAML, or no app's Deployment is there.
        """
        try:
            documents = list(YAML(typ="safe", pure=True).load_all(text))
        except YAMLError as error:
            raise StackError(f"{folder}: {' '.join(str(error).split())}") from None
        found = cls(folder, tuple(document for document in documents if isinstance(document, Mapping)))
        if not any(at(found.pod, "containers", ())):
            raise StackError(f"{folder}: no Deployment with containers: found {', '.join(found.kinds())}")
        return found

    def kinds(self) -> list[str]:
        """Return the names of all objects."""
        return [named(thing) for thing in self.objects] or ["nothing"]

    def of_kind(self, *kinds: str) -> list[Object]:
        """Return all objects of some kinds."""
        return [thing for thing in self.objects if thing.get("kind") in kinds]

    @cached_property
    def app(self) -> Object:
        """The Deployment that serves: the first one that a Service leads to."""
        deployments = self.of_kind("Deployment")
        served = [
            deployment
            for deployment in deployments
            for service in self.of_kind("Service")
            if selects(at(service, "spec.selector", {}), at(deployment, "spec.template.metadata.labels", {}))
        ]
        return next(iter((*served, *deployments)), {})

    @property
    def pod(self) -> Object:
        """What each of its pods is made of."""
        return at(self.app, "spec.template.spec", {})  # type: ignore[no-any-return]

    @property
    def labels(self) -> Mapping[str, str]:
        """The labels of its pods, by which everybody else finds them."""
        return at(self.app, "spec.template.metadata.labels", {})  # type: ignore[no-any-return]

    @property
    def container(self) -> Object:
        """The container that serves: the first one."""
        return self.pod["containers"][0]  # type: ignore[no-any-return]

    @property
    def containers(self) -> list[Object]:
        """All containers of a pod, also those that run before it serves."""
        return [*at(self.pod, "initContainers", ()), *self.pod["containers"]]

    @cached_property
    def autoscaler(self) -> Object | None:
        """What decides how many pods there are."""
        name = at(self.app, "metadata.name")
        scalers = self.of_kind("HorizontalPodAutoscaler")
        return next((item for item in scalers if at(item, "spec.scaleTargetRef.name") == name), None)

    @property
    def fewest(self) -> int:
        """So many pods there are at least; Kubernetes takes 1 where nobody says it."""
        scaled = at(self.autoscaler, "spec.minReplicas", 1)
        return int(scaled if self.autoscaler else at(self.app, "spec.replicas", 1))

    @property
    def most(self) -> int:
        """So many pods there are at most."""
        return int(at(self.autoscaler, "spec.maxReplicas", self.fewest))

    def environment(self, container: Object) -> dict[str, str | None]:
        """Return the variables of a container: None where the value is a secret, or made outside of these files."""
        found: dict[str, str | None] = {}
        for source in container.get("envFrom") or ():
            name = at(source, "configMapRef.name")
            maps = [item for item in self.of_kind("ConfigMap") if at(item, "metadata.name") == name]
            found |= {key: str(value) for item in maps for key, value in at(item, "data", {}).items()}
        for variable in container.get("env") or ():
            value = variable.get("value")
            found[variable["name"]] = None if value is None else str(value)
        return found

    def runs(self, command: str) -> Iterator[tuple[Object, Object]]:
        """Yield each object, and the container in it, that has this command in its command line."""
        for thing in (self.app, *self.of_kind("Job")):
            pod = at(thing, "spec.template.spec", {})
            for container in (*at(pod, "initContainers", ()), *at(pod, "containers", ())):
                if command in line_of(container):
                    yield thing, container


def line_of(container: Object) -> str:
    """Return a container's command line, as far as it is not the image's own."""
    return " ".join(map(str, (*(container.get("command") or ()), *(container.get("args") or ()))))


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Tell whether a selector that is not empty finds these labels."""
    return bool(selector) and selector.items() <= labels.items()
