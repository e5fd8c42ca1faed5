"""Kubernetes: a pod runs here under the terms of its manifests; what is the cluster's is read as kubectl renders it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path

from pytest_deploycheck import databases, platforms
from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.outcome import Blocked, Note, NotVerified
from pytest_deploycheck.stacks.contained.stack import IMAGE, image_command
from pytest_deploycheck.stacks.declared import Declared
from pytest_deploycheck.stacks.keepers import Keepers
from pytest_deploycheck.stacks.kubernetes import edge, memory, podman, pods, rollout
from pytest_deploycheck.stacks.kubernetes.answers import KEEPERS
from pytest_deploycheck.stacks.kubernetes.cluster import access
from pytest_deploycheck.stacks.kubernetes.cluster.answers import KEEPERS_OF_CLUSTER, unknown_to
from pytest_deploycheck.stacks.kubernetes.cluster.stack import ClusterStack
from pytest_deploycheck.stacks.kubernetes.containers import PodmanStack
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, is_kustomization, render
from pytest_deploycheck.stacks.kubernetes.promise import Promise
from pytest_deploycheck.stacks.kubernetes.stack import KubernetesStack
from pytest_deploycheck.stacks.protocol import Stack, StackError

MODULES = (edge, pods, rollout, memory)
PROMISES = {promise.check_id: promise for module in MODULES for promise in module.PROMISES}
# The check that fails where nothing can be rendered at all; the others are blocked.
FIRST = "BOOT002"

__all__ = ["KubernetesStack", "declared", "is_kustomization", "stack_for", "with_cluster"]


def with_cluster(config: Config, context: str | None, image: str | None) -> Config:
    """Return the settings with the cluster of a context, if there is one: what they promise of a pod holds for all.

    Raises:
        ConfigError: the cluster cannot be used, or the project is not deployed on Kubernetes.
    """
    if not context:
        if image is not None:
            raise ConfigError(f"{access.IMAGE_OPTION} does nothing without {access.OPTION}: add it")
        return config
    if not config.manager_config or not is_kustomization(config.root / config.manager_config):
        raise ConfigError(
            f"{access.OPTION}: the project is not deployed on Kubernetes: [tool.deploycheck] manager_config names no "
            "folder with a kustomization"
        )
    config = replace(
        config,
        cluster=access.chosen(context, image or ""),
        reload=f"kubectl apply -k {config.manager_config}",
        health_check=None,
    )
    with contextlib.suppress(StackError, NotVerified):  # the first check tells of it
        found = Manifests.parsed(config.manager_config, render(config.root, config.manager_config)[1])
        return _times(found.fewest, config)
    return config


def _times(pods: int, config: Config) -> Config:
    """Return the settings of a pod for so many pods."""
    cluster = config.cluster and replace(config.cluster, pods=pods)
    limit_mb = config.memory_limit_mb and config.memory_limit_mb * pods
    return replace(config, cluster=cluster, workers=config.workers * pods, memory_limit_mb=limit_mb)


def _of_one_pod(config: Config) -> Config:
    """Return the settings as they stand: manifests speak of each pod."""
    if config.cluster is None:
        return config
    pods = config.cluster.pods
    limit_mb = config.memory_limit_mb and config.memory_limit_mb // pods
    return replace(config, workers=config.workers // pods, memory_limit_mb=limit_mb)


def stack_for(config: Config) -> Callable[..., Stack]:
    """Return what runs the pods: a cluster where one is named; a pod here, with podman where it can."""
    if config.cluster:
        return partial(ClusterStack, config.cluster)
    return KubernetesStack if podman.missing(config.root) else PodmanStack


def declared(config: Config) -> Declared:
    """Return what is read of a project that is described by a folder with a kustomization, and what is seen besides."""
    read = lru_cache(maxsize=1)(partial(_read, config.root, config.manager_config))
    reason = why_no_pod(config)
    keepers = KEEPERS_OF_CLUSTER if config.cluster else KEEPERS
    answer = partial(_answer, keepers, _of_one_pod(config), read, reason)
    answers, besides = keepers.answers(answer, runs_here=not reason)
    started = f"no pod was started: {reason}" if reason else "a pod of it was started here"
    asked = (
        f"its pods run in {config.cluster.context}"
        if config.cluster
        else f"{started}, and no cluster was asked"
    )
    return Declared(
        parts={
            "manager": "kubernetes",
            "proxy": "gateway",
            "server": "image",
            "database": databases.find(config).NAME,
        },
        read=[f"{config.manager_config}: rendered and read; {asked}"],
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
    keepers: Keepers,
    config: Config,
    read: Callable[[], tuple[str, Manifests | StackError]],
    reason: str,
    check_id: str,
    note: Note,
) -> None:
    keepers.must_answer(check_id)
    command, found = read()
    if isinstance(found, StackError):
        if check_id == FIRST:
            raise found
        raise Blocked(f"the manifests cannot be read (see {FIRST}): {found}")
    promise: Promise | None = PROMISES.get(check_id)
    if promise:
        note.did(command, f"read {promise.reads}")
        promise.keep(found, config)
        if config.cluster and (too_old := unknown_to(config.cluster, found, check_id)):
            raise NotVerified(too_old)
    if reason and not (promise and promise.alone):
        raise NotVerified(f"only a pod shows it, and none was started: {reason}")
