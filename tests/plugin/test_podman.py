"""A pod in podman's containers: what podman gets of the manifests, when, and a real one with ``--containers``."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import images
import kubernetes
import podman_engine
import pytest
from harness import Sabotage, bake, copy_of, run_deploycheck

from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.stacks.kubernetes import podman
from pytest_deploycheck.stacks.kubernetes.answers import KEEPERS
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests

BASE = "localhost/python:3.11-slim"
MANIFEST = """
kind: ConfigMap
metadata: {name: values, namespace: notes}
data: {LOG_LEVEL: INFO, NETWORKS: 10.0.0.0/8}
---
kind: Deployment
metadata: {name: notes}
spec:
  template:
    spec:
      securityContext: {runAsUser: 10001, runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      initContainers: [{name: steps, image: notes, command: [steps], volumeMounts: [{name: tmp, mountPath: /tmp}]}]
      containers:
        - name: app
          image: notes
          envFrom: [{configMapRef: {name: values}}, {secretRef: {name: secret}}]
          env: [{name: TOKEN, valueFrom: {secretKeyRef: {name: secret, key: TOKEN}}}]
          ports: [{containerPort: 8000}]
          livenessProbe: {httpGet: {path: /, port: 8000}}
          lifecycle: {preStop: {exec: {command: [sleep, "1"]}}}
          resources: {limits: {memory: 64Mi}}
          securityContext: {readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
        - {name: beside, image: another}
      volumes: [{name: tmp, emptyDir: {}}]
"""
VARIABLES = {"TOKEN": "secret", "NETWORKS": "127.0.0.1"}
# For podman a ConfigMap beats what the container says itself.
HERE = {"LOG_LEVEL": "INFO", "NETWORKS": "127.0.0.1"}


def pod() -> dict[str, Any]:
    """Return the pod of the manifest above as podman gets it, and make sure that it gets the values before."""
    run = SimpleNamespace(folder=Path("/tmp/run"), config=SimpleNamespace(previous_steps="steps"))
    copy = cast("ProjectCopy", SimpleNamespace(run=run))
    found = Manifests.parsed("deploy", MANIFEST)
    values, whole = podman.pod_of(found, copy, "one", image="built", variables=VARIABLES)
    assert values == {"kind": "ConfigMap", "metadata": {"name": "values"}, "data": HERE}
    assert whole["metadata"] == {"name": "one"}
    return cast("dict[str, Any]", whole["spec"])


def test_what_a_runtime_keeps_is_left_to_podman() -> None:
    """Limits, read-only disks, capabilities, the filter of system calls, and ConfigMaps come from the manifests."""
    spec = pod()
    app = spec["containers"][0]
    assert app["resources"] == {"limits": {"memory": "64Mi"}}
    assert app["securityContext"]["readOnlyRootFilesystem"] is True
    assert app["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert spec["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert app["envFrom"] == [{"configMapRef": {"name": "values"}}]


def test_what_kubelet_keeps_is_not() -> None:
    """Podman asks no probe and starts nothing anew: the process that stands for kubelet does."""
    spec = pod()
    assert spec["restartPolicy"] == "Never"
    assert not {"ports", "livenessProbe", "lifecycle"} & spec["containers"][0].keys()


def test_pods_share_no_volume_and_no_image() -> None:
    """Podman takes an emptyDir for a volume with its name; only the project's own image is replaced."""
    spec = pod()
    assert spec["volumes"][0] == {"name": "one-tmp", "emptyDir": {}}
    assert spec["initContainers"][0]["volumeMounts"][0] == {"name": "one-tmp", "mountPath": "/tmp"}
    assert [container["image"] for container in spec["containers"]] == ["built", "another"]
    assert spec["containers"][0]["env"][0] == {"name": "TOKEN", "value": "secret"}


@pytest.mark.parametrize(
    ("dockerfile", "wanted"),
    [
        ("ARG BASE=python:3.11-slim\nFROM ${BASE} AS build\nRUN true\nFROM $BASE\n", ["python:3.11-slim"]),
        ("from --platform=linux/amd64 a/b@sha256:12 as one\nFROM one\nFROM scratch\n", ["a/b@sha256:12"]),
        ("FROM b\nFROM a\n", ["a", "b"]),
    ],
)
def test_images_that_a_dockerfile_begins_with(dockerfile: str, wanted: list[str]) -> None:
    """Arguments have their defaults, and stages of its own are none."""
    assert podman.bases(dockerfile) == wanted


def test_without_podman_nothing_changes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is missing is told: the program, the Dockerfile, or the image that it begins with. Nothing is downloaded."""
    (tmp_path / "Dockerfile").write_text("FROM python:3.11-slim\n", encoding="utf-8")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(podman, "said", lambda *_: None)
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    podman.missing.cache_clear()
    assert "apt-get install podman" in str(podman.missing(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda *_, **__: "/usr/bin/podman")
    podman.missing.cache_clear()
    assert podman.missing(tmp_path) == "an image: podman pull python:3.11-slim"
    assert "Dockerfile" in str(podman.missing(tmp_path / "without"))
    podman.missing.cache_clear()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Path]:
    """A generated project, and a storage of podman's own with the image that its own begins with."""
    if not pytestconfig.option.containers:
        pytest.skip("runs with --containers")
    if lack := podman_engine.missing("kubectl"):
        pytest.skip(lack)
    folder = tmp_path_factory.mktemp("podman")
    with podman_engine.storage(folder):
        made = bake(folder / "baked", python_version="3.11", **dict(kubernetes.ANSWERS))
        images.make_images(["podman"], made)
        subprocess.run(["podman", "tag", images.BASE_IMAGE, BASE], check=True)
        yield made
        assert not podman.said("ps", "--all", "--quiet")
        assert not podman.said("volume", "ls", "--quiet")


@pytest.mark.slow
def test_unbroken_pod_is_green(project: Path, tmp_path: Path) -> None:
    """The project as generated passes in podman's containers as with processes, and the report names podman."""
    copy = copy_of(project, tmp_path / "notes_api")
    verdict = run_deploycheck(copy)
    assert not verdict.caught | verdict.ids("blocked"), verdict.explain()
    assert verdict.ids("not_verified") == KEEPERS.not_verified.keys() | {"TLS002"}, verdict.explain()
    report = json.loads((copy / "deploycheck-report/report.json").read_text(encoding="utf-8"))
    assert any(line.startswith("container runtime -> podman") for line in report["relocated"])


@pytest.mark.slow
@pytest.mark.parametrize("record", kubernetes.SABOTAGES, ids=lambda record: record.id)
def test_changed_pod_is_caught_by_exactly(record: Sabotage, project: Path, tmp_path: Path) -> None:
    """Each record of a running pod is caught in containers too."""
    copy = copy_of(project, tmp_path / "notes_api")
    record.apply(copy)
    selected = ",".join(sorted({*record.caught_by, *record.touches}))
    verdict = run_deploycheck(copy, f"--deploycheck-select={selected}")
    assert verdict.caught == record.caught_by, verdict.explain()
