"""Which process manager runs a project: told by the file that describes it."""

from __future__ import annotations

from collections.abc import Callable

from pytest_deploycheck.config import Config
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.stacks.supervisor import SupervisorStack


def stack_for(_config: Config) -> Callable[..., Stack]:
    """Return what makes stacks of copies of the project."""
    return SupervisorStack
