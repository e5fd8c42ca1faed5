"""Who answers each check where a part of production cannot run on this machine: what runs here, files, or nobody."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from pytest_deploycheck.check import all_checks
from pytest_deploycheck.outcome import Evidence, NotApplicable, Note, NotVerified
from pytest_deploycheck.stacks.declared import Answer, Besides


class Keeper(enum.Enum):
    """Whose promise a check is."""

    HERE = enum.auto()
    BOTH = enum.auto()
    FILES = enum.auto()
    NOBODY = enum.auto()
    NO_ONE_NEEDED = enum.auto()


@dataclass(frozen=True, kw_only=True)
class Keepers:
    """Whose promise each check of one kind of deployment is.

    Attributes:
        here, both, files: in words, what answers a check: what runs here, that and files, files alone.
        not_verified, not_applicable: by check ID, why a check has no answer, or needs none.
        read_only: the IDs of checks that only files answer.
        seen_in_part: the IDs of those of which something stands here for a part: what comes of it is no observation.
    """

    here: str
    both: str
    files: str
    not_verified: Mapping[str, str]
    not_applicable: Mapping[str, str]
    read_only: frozenset[str]
    seen_in_part: frozenset[str]

    def of(self, check_id: str) -> Keeper:
        """Return whose promise a check is."""
        if check_id in self.not_verified:
            return Keeper.NOBODY
        if check_id in self.not_applicable:
            return Keeper.NO_ONE_NEEDED
        if check_id in self.read_only:
            return Keeper.FILES
        return Keeper.BOTH if check_id in self.seen_in_part else Keeper.HERE

    def words(self, keeper: Keeper) -> str:
        """Return how the documentation names a keeper."""
        return {
            Keeper.HERE: f"observed: {self.here}",
            Keeper.BOTH: f"declared: {self.both}",
            Keeper.FILES: f"declared: {self.files}",
            Keeper.NOBODY: "not verified",
            Keeper.NO_ONE_NEEDED: "does not apply",
        }[keeper]

    def must_answer(self, check_id: str) -> None:
        """Return for a check that has an answer.

        Raises:
            NotVerified: nobody answers it.
            NotApplicable: it needs no answer.
        """
        if check_id in self.not_verified:
            raise NotVerified(self.not_verified[check_id])
        if check_id in self.not_applicable:
            raise NotApplicable(self.not_applicable[check_id])

    def answers(
        self, read: Callable[[str, Note], None], *, runs_here: bool = True
    ) -> tuple[dict[str, Answer], dict[str, Besides]]:
        """Return the answers instead of checks, and beside them, by check ID.

        Args:
            read: looks into the files for one check.
            runs_here: whether anything can run here; if not, all is read.
        """
        instead: dict[str, Answer] = {}
        besides: dict[str, Besides] = {}
        for record in all_checks():
            keeper, answer = self.of(record.id), partial(read, record.id)
            if runs_here and keeper in (Keeper.HERE, Keeper.BOTH):
                evidence = Evidence.OBSERVED if keeper is Keeper.HERE else Evidence.DECLARED
                besides[record.id] = Besides(answer=answer, evidence=evidence)
            else:
                instead[record.id] = answer
        return instead, besides
