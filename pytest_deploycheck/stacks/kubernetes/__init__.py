"""Kubernetes: no cluster starts here, so each promise is looked for in the manifests as kubectl renders them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path

from pytest_deploycheck import databases
from pytest_deploycheck.check import all_checks
from pytest_deploycheck.config import Config
from pytest_deploycheck.outcome import Blocked, NotApplicable, Note, NotVerified
from pytest_deploycheck.stacks.declared import Declared
from pytest_deploycheck.stacks.kubernetes import edge, memory, pods, rollout
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, is_kustomization, render
from pytest_deploycheck.stacks.kubernetes.nobody import NOT_APPLICABLE, NOT_VERIFIED
from pytest_deploycheck.stacks.kubernetes.promise import Promise
from pytest_deploycheck.stacks.protocol import StackError

MODULES = (edge, pods, rollout, memory)
PROMISES = {promise.check_id: promise for module in MODULES for promise in module.PROMISES}
# The check that fails where nothing can be rendered at all; the others are blocked.
FIRST = "BOOT002"

__all__ = ["declared", "is_kustomization"]


def declared(config: Config) -> Declared:
    """Return the answers of a project that is described by a folder with a kustomization."""
    read = lru_cache(maxsize=1)(partial(_read, config.root, config.manager_config))
    return Declared(
        parts={
            "manager": "kubernetes",
            "proxy": "gateway",
            "server": "image",
            "database": databases.find(config).NAME,
        },
        read=[f"{config.manager_config}: rendered and read; nothing was started, and no cluster was asked"],
        answers={record.id: _answer(record.id, config, read) for record in all_checks()},
    )


def _read(root: Path, folder: str) -> tuple[str, Manifests | StackError]:
    """Return how the folder was rendered, and its objects; the error where it cannot be."""
    try:
        command, text = render(root, folder)
        return command, Manifests.parsed(folder, text)
    except StackError as error:
        return "", error


def _answer(
    check_id: str, config: Config, read: Callable[[], tuple[str, Manifests | StackError]]
) -> Callable[[Note], None]:
    def answer(note: Note) -> None:
        if check_id in NOT_APPLICABLE:
            raise NotApplicable(NOT_APPLICABLE[check_id])
        command, found = read()
        if isinstance(found, StackError):
            if check_id == FIRST:
                raise found
            raise Blocked(f"the manifests cannot be read (see {FIRST}): {found}")
        promise: Promise | None = PROMISES.get(check_id)
        if promise is None:
            raise NotVerified(NOT_VERIFIED[check_id])
        note.did(command, f"read {promise.reads}")
        promise.keep(found, config)

    return answer
