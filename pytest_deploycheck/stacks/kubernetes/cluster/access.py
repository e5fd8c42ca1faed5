"""Which cluster: the context that the user has named, and never the current one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import Any

from pytest_deploycheck.config import ConfigError
from pytest_deploycheck.sandbox.run import Run

OPTION = "--deploycheck-cluster"
IMAGE_OPTION = "--deploycheck-cluster-image"
PATIENCE_S = 10
# What the checks make in a cluster; https://kubernetes.io/docs/reference/access-authn-authz/authorization
NEEDED = (
    ("create", "namespaces"),
    ("delete", "namespaces"),
    ("create", "deployments.apps"),
    ("create", "pods"),
    ("create", "pods/exec"),
)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A cluster that answers, and lets the user make namespaces.

    Attributes:
        context: its name in the user's kubeconfig.
        version: of its API server, such as ``v1.33.4``.
        nodes: how many machines it has.
        image: what its pods run instead of the manifests' own image; empty for that.
        config: a kubeconfig with this context only.
        pods: how many pods of the app run there.
    """

    context: str
    version: str
    nodes: int
    image: str
    config: str
    pods: int = 1

    def kubeconfig(self, run: Run) -> str:
        """Return the path of a file with this context alone: whoever uses it reaches no other cluster."""

        def write() -> str:
            file = run.folder / "kubeconfig"
            file.touch(mode=0o600)
            file.write_text(self.config, encoding="utf-8")
            return str(file)

        return run.shared("kubeconfig", write)


def chosen(context: str, image: str) -> Cluster:
    """Return the cluster of a context, which answers.

    Raises:
        ConfigError: there is no such context, nobody answers, or the user may not make namespaces there.
    """
    if not shutil.which("kubectl"):
        raise ConfigError(f"{OPTION} needs kubectl: https://kubernetes.io/docs/tasks/tools")
    config = _config(context)
    said = _kubectl(context, "version", "--output=json")
    try:
        version = json.loads(said.stdout)["serverVersion"]["gitVersion"]
    except (KeyError, ValueError):
        raise ConfigError(
            f"{OPTION} {context}: the cluster did not answer within {PATIENCE_S} s: {_last(said.stderr)}"
        ) from None
    for verb, what in NEEDED:
        # In a namespace that is not there yet: who may do it there may do it in each.
        asked = _kubectl(context, "auth", "can-i", verb, what, "--namespace=deploycheck")
        if asked.stdout.strip() != "yes":
            raise ConfigError(
                f"{OPTION} {context}: its user may not {verb} {what}: the checks run in namespaces of their own"
            )
    nodes = _kubectl(context, "get", "nodes", "--output=name").stdout.splitlines()
    return Cluster(context=context, version=version, nodes=len(nodes), image=image, config=config)


def _config(context: str) -> str:
    """Return the part of the user's kubeconfig that belongs to a context."""
    shown = _run("config", "view", "--output=json")
    try:
        known = sorted(item["name"] for item in _list(json.loads(shown.stdout), "contexts"))
    except ValueError:
        raise ConfigError(f"{OPTION} {context}: kubectl reads no kubeconfig: {_last(shown.stderr)}") from None
    if not known:
        where = os.environ.get("KUBECONFIG") or "~/.kube/config"
        raise ConfigError(f"{OPTION} {context}: {where} names no cluster: set KUBECONFIG to a file that does")
    if context not in known:
        raise ConfigError(f"{OPTION} {context}: there is no such context, but {', '.join(known)}")
    return _kubectl(context, "config", "view", "--minify", "--flatten", "--raw", "--output=json").stdout


def _list(document: dict[str, Any], key: str) -> list[dict[str, Any]]:
    return document.get(key) or []


def _kubectl(context: str, *words: str) -> subprocess.CompletedProcess[str]:
    return _run(f"--context={context}", f"--request-timeout={PATIENCE_S}s", *words)


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["kubectl", *words],
            stdin=subprocess.DEVNULL,  # nobody is asked for a password
            capture_output=True,
            text=True,
            timeout=3 * PATIENCE_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, "", "it took too long")


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]
