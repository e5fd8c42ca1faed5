"""What checks know of a database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Protocol

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.sandbox.run import ProjectCopy


class Database(Protocol):
    """The database of a stack."""

    NAME: str
    ADVICE: Mapping[str, Advice]

    def verify(self) -> None:
        """Look at a server that the user has given to the checks, before anything is started.

        Raises:
            ConfigError: it cannot be used, or looks like the server of production.
        """

    def relocate(self, copy: ProjectCopy) -> dict[str, str]:
        """Return the environment variables that give ``copy`` a database of its own."""

    def environment(self, copy: ProjectCopy) -> dict[str, str]:
        """Return the environment variables that name the database of ``copy`` to commands of any copy.

        Empty if the project's URL is no setting.
        """

    def version(self, copy: ProjectCopy) -> str | None:
        """Return the revision that Alembic has noted, None if there is none."""

    def set_version(self, copy: ProjectCopy, version: str | None) -> None:
        """Overwrite the revision that Alembic has noted, None = forget it."""

    def schema(self, copy: ProjectCopy) -> dict[str, str]:
        """Return the definition of each table and index, by name."""

    def connections(self, copy: ProjectCopy) -> int:
        """Return how many connections to the database of ``copy`` are open.

        Raises:
            NotApplicable: the database has no limit for them.
        """

    def max_connections(self, copy: ProjectCopy) -> int:
        """Return how many connections its server takes in all."""

    def away(self, copy: ProjectCopy) -> AbstractContextManager[None]:
        """Take the database away for the length of a ``with`` block."""

    def arrives_late(self, copy: ProjectCopy) -> tuple[dict[str, str], Callable[[], None]]:
        """Lead ``copy`` to a database that is not there yet.

        Return the environment variables that name it, and what lets it arrive.

        Raises:
            NotVerified: the project's URL is no setting.
        """
