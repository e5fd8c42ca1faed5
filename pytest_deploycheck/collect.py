"""The checks as test items: ``deploycheck::restarts::check_killed_worker_is_replaced``."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from pytest_deploycheck import checks
from pytest_deploycheck.arguments import ROOT_ID
from pytest_deploycheck.check import Check, Concept, check_of
from pytest_deploycheck.experiments import Lane, ends_calmly, lane_of
from pytest_deploycheck.own_checks import OwnModule
from pytest_deploycheck.stacks.declared import Declared

# Fixtures that wait until no experiment runs any more, except for those that have calmed down.
NEED_QUIET = frozenset({"quiet_stack", "saturation", "overload"})


class CheckFile(pytest.File):
    """Stands at the project's ``pyproject.toml`` and yields the modules of checks: one per concept, and own ones."""

    own: list[OwnModule]
    declared: Declared | None

    @classmethod
    def at(
        cls, parent: pytest.Collector, path: Path, own: list[OwnModule], declared: Declared | None
    ) -> CheckFile:
        """Make the collector; its node id is ``deploycheck`` whatever the invocation folder is."""
        made = cls.from_parent(parent, path=path, nodeid=ROOT_ID)
        made.own, made.declared = own, declared
        return made

    def collect(self) -> Iterator[CheckModule]:
        """Yield a module for each concept, and those of own checks."""
        for concept in Concept:
            module = importlib.import_module(f"{checks.__name__}.{concept.slug}")
            yield CheckModule.of(
                self, self.declared.instead_of(module) if self.declared else module, concept.slug
            )
        for own in self.own:
            yield CheckModule.of(self, own.module, own.name)


class CheckModule(pytest.Module):
    """A module of checks. pytest collects its functions as it does tests; only the names differ."""

    imported: ModuleType

    @classmethod
    def of(cls, parent: CheckFile, module: ModuleType, name: str) -> CheckModule:
        """Make the collector of a module that is imported already; the name is the middle of its node ids."""
        path = Path(str(module.__file__))
        made = cls.from_parent(parent, path=path, name=name, nodeid=f"{ROOT_ID}::{name}")
        made.imported = module
        return made

    def _getobj(self) -> ModuleType:
        return self.imported

    def collect(self) -> list[pytest.Item | pytest.Collector]:
        """Return the checks in the order of their IDs, whichever part of a package they come from."""
        return sorted(super().collect(), key=lambda item: record.id if (record := record_of(item)) else "")

    def funcnamefilter(self, name: str) -> bool:
        """Take functions named ``check_…``."""
        return name.startswith("check_")

    def classnamefilter(self, name: str) -> bool:
        """Take no classes."""
        return False


def record_of(item: pytest.Item | pytest.Collector) -> Check | None:
    """Return the check that an item runs, None for the project's own tests."""
    return check_of(getattr(item, "function", None))


def in_running_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Put own tests first, then checks that wait for no experiment, those that do, and those that need quiet.

    The experiment on the stack that they share ends when the slowest client has been dropped, so it is waited for last.
    While there is quiet, experiments that have calmed down go on: who waits for one of them comes at the end.
    """

    def turn(item: pytest.Item) -> int:
        record = record_of(item)
        if record is None:
            return -1
        if NEED_QUIET.intersection(getattr(item, "fixturenames", ())):
            return 3
        if record.experiment is None:
            return 0
        if ends_calmly(record.experiment):
            return 4
        return 2 if lane_of(record.experiment) is Lane.GENTLE else 1

    return sorted(items, key=turn)


def selected(items: list[pytest.Item], wanted: str) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Split items by ``--deploycheck-select``: IDs, prefixes or concepts, separated by commas.

    The project's own tests stay selected.

    Raises:
        pytest.UsageError: a word selects nothing.
    """
    words = [word.strip() for word in wanted.split(",") if word.strip()]
    records = [record for item in items if (record := record_of(item))]
    for word in words:
        if not any(_matches(record, word) for record in records):
            concepts = ", ".join(concept.slug for concept in Concept)
            raise pytest.UsageError(
                f"--deploycheck-select: {word!r} is no check ID (like RST002), ID prefix (like RST) "
                f"or concept ({concepts})"
            )
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        record = record_of(item)
        keep = record is None or any(_matches(record, word) for word in words)
        (kept if keep else dropped).append(item)
    return kept, dropped


def _matches(record: Check, word: str) -> bool:
    return word.lower() == record.concept.slug or word.upper() in (record.id, record.prefix)
