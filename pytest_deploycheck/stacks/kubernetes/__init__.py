"""Kubernetes: a pod runs here under the terms of its manifests; what is the cluster's is read as kubectl renders it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from pytest_deploycheck import databases, platforms
from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import Blocked, Note, NotVerified
from pytest_deploycheck.stacks.contained.stack import IMAGE, image_command
from pytest_deploycheck.stacks.declared import Declared
from pytest_deploycheck.stacks.kubernetes import edge, memory, podman, pods, rollout
from pytest_deploycheck.stacks.kubernetes.answers import KEEPERS
from pytest_deploycheck.stacks.kubernetes.containers import PodmanStack
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, is_kustomization, render
from pytest_deploycheck.stacks.kubernetes.promise import Promise
from pytest_deploycheck.stacks.kubernetes.stack import KubernetesStack
from pytest_deploycheck.stacks.protocol import StackError

MODULES = (edge, pods, rollout, memory)
PROMISES = {promise.check_id: promise for module in MODULES for promise in module.PROMISES}
# The check that fails where nothing can be rendered at all; the others are blocked.
FIRST = "BOOT002"

__all__ = ["KubernetesStack", "declared", "is_kustomization", "stack_for"]


def stack_for(config: Config) -> type[KubernetesStack]:
    """Return what runs a pod: podman where it can, else processes of this machine."""
    return KubernetesStack if podman.missing(config.root) else PodmanStack


def declared(config: Config) -> Declared:
    """Return what is read of a project that is described by a folder with a kustomization, and what is seen besides."""
    read = lru_cache(maxsize=1)(partial(_read, config.root, config.manager_config))
    reason = why_no_pod(config)
    answers, besides = KEEPERS.answers(partial(_answer, config, read, reason), runs_here=not reason)
    started = f"no pod was started: {reason}" if reason else "a pod of it was started here"
    return Declared(
        parts={
            "manager": "kubernetes",
            "proxy": "gateway",
            "server": "image",
            "database": databases.find(config).NAME,
        },
        read=[f"{config.manager_config}: rendered and read; {started}, and no cluster was asked"],
        answers=answers,
        besides=besides,
    )


def why_no_pod(config: Config) -> str:
    """Return why no pod of the project can run on this machine; empty where one can."""
    if not platforms.is_supported():
        return "this is no Linux"
    try:
        image_command(config.root)
    except StackError:
        return f"the project has no {IMAGE} with a CMD"
    return ""


def _read(root: Path, folder: str) -> tuple[str, Manifests | StackError]:
    """Return how the folder was rendered, and its objects; the error where it cannot be."""
    try:
        command, text = render(root, folder)
        return command, Manifests.parsed(folder, text)
    except StackError as error:
        return "", error


def _answer(
    config: Config,
    read: Callable[[], tuple[str, Manifests | StackError]],
    reason: str,
    check_id: str,
    note: Note,
) -> None:
    KEEPERS.must_answer(check_id)
    command, found = read()
    if isinstance(found, StackError):
        if check_id == FIRST:
            raise found
        raise Blocked(f"the manifests cannot be read (see {FIRST}): {found}")
    promise: Promise | None = PROMISES.get(check_id)
    if promise:
        note.did(command, f"read {promise.reads}")
        promise.keep(found, config)
    elif reason:
        raise NotVerified(f"only a pod shows it, and none was started: {reason}")
