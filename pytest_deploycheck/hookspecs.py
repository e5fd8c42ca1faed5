"""Hooks of the plugin: a project's ``conftest.py``, or another pytest plugin, brings parts of a stack of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_deploycheck.config import Config
    from pytest_deploycheck.proxies.protocol import Proxy
    from pytest_deploycheck.stacks.protocol import Stack


@pytest.hookspec(firstresult=True)
def pytest_deploycheck_stack(settings: Config) -> Callable[..., Stack] | None:
    """Choose what makes stacks of copies of the project, most often a class that derives from ``BaseStack``.

    It is called as ``make(copy, extra, acme=acme)``: see ``pytest_deploycheck.stacks.base.BaseStack``.

    Args:
        settings: the project's ``[tool.deploycheck]``.

    Returns:
        None where this project's process manager is one of the plugin's own.
    """


@pytest.hookspec
def pytest_deploycheck_proxies(settings: Config) -> Sequence[Proxy]:  # type: ignore[empty-body]
    """Return proxies beside the plugin's own: modules or objects that fulfil ``Proxy``. They are asked first.

    Args:
        settings: the project's ``[tool.deploycheck]``.
    """
