"""A project that declares no database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.outcome import NotApplicable
from pytest_deploycheck.sandbox.run import ProjectCopy


class NoDatabase:
    """Answers each question with ``NotApplicable``."""

    NAME = "none"
    ADVICE: Mapping[str, Advice] = MappingProxyType({})

    def verify(self) -> None:
        """There is no server."""

    def relocate(self, copy: ProjectCopy) -> dict[str, str]:
        """Nothing has to be moved."""
        return {}

    def environment(self, copy: ProjectCopy) -> dict[str, str]:
        """Nothing has to be named."""
        return {}

    def version(self, copy: ProjectCopy) -> str | None:
        raise _NONE

    def set_version(self, copy: ProjectCopy, version: str | None) -> None:
        raise _NONE

    def schema(self, copy: ProjectCopy) -> dict[str, str]:
        raise _NONE

    def connections(self, copy: ProjectCopy) -> int:
        raise _NONE

    def max_connections(self, copy: ProjectCopy) -> int:
        raise _NONE

    def away(self, copy: ProjectCopy) -> AbstractContextManager[None]:
        raise _NONE

    def arrives_late(self, copy: ProjectCopy) -> tuple[dict[str, str], Callable[[], None]]:
        raise _NONE


_NONE = NotApplicable("the project declares no database: [tool.deploycheck] database_url")
