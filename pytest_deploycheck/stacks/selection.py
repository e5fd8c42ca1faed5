"""Which process manager runs a project, or is read: told by the file, or the folder, that describes it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from pytest_deploycheck.config import Config
from pytest_deploycheck.detection.compose import describes_containers, describes_swarm
from pytest_deploycheck.stacks import cloud, kubernetes
from pytest_deploycheck.stacks.command import CommandStack
from pytest_deploycheck.stacks.compose import ComposeStack
from pytest_deploycheck.stacks.declared import Declared
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.stacks.supervisor import SupervisorStack
from pytest_deploycheck.stacks.swarm import SwarmStack
from pytest_deploycheck.stacks.systemd import SystemdStack

# Units often have a /tmp of their own, and see nothing of ours.
FOLDERS_FOR_MACHINES = (Path("/srv"), Path("/opt"))


def stack_for(config: Config) -> Callable[..., Stack]:
    """Return what makes stacks of copies of the project."""
    if not config.manager_config:
        return CommandStack
    if has_containers(config):
        return SwarmStack if describes_swarm(config.manager_config) else ComposeStack
    if is_kustomization(config):
        return kubernetes.stack_for(config)
    if cloud.is_contract(config.manager_config):
        return cloud.CloudStack
    return SystemdStack if has_units(config) else SupervisorStack


def declared_for(config: Config) -> Declared | None:
    """Return what is declared of a project of which all or a part cannot run here; None where all can."""
    if is_kustomization(config):
        return kubernetes.declared(config)
    return cloud.declared(config) if cloud.is_contract(config.manager_config) else None


def folder_for_runs(config: Config) -> Path | None:
    """Return where the folder of a run must be; None for any place."""
    writable = (folder for folder in FOLDERS_FOR_MACHINES if os.access(folder, os.W_OK))
    return next(writable, None) if has_units(config) else None


def has_units(config: Config) -> bool:
    """Tell whether systemd runs the project: it is described by a folder of units, or by one of them."""
    if not config.manager_config or is_kustomization(config):
        return False
    return config.manager_config.endswith(".service") or (config.root / config.manager_config).is_dir()


def has_containers(config: Config) -> bool:
    """Tell whether containers run the project: it is described by a Compose file, or the stack file of a swarm."""
    return describes_containers(config.manager_config)


def is_kustomization(config: Config) -> bool:
    """Tell whether Kubernetes runs the project: it is described by a folder that kubectl renders."""
    return bool(config.manager_config) and kubernetes.is_kustomization(config.root / config.manager_config)
