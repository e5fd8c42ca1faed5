"""Checks that are not the plugin's: in the project's folder ``deploychecks/``, and in installed packages."""

from __future__ import annotations

import importlib
import re
import sys
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest

from pytest_deploycheck.check import Check, Concept, check_of
from pytest_deploycheck.config import ConfigError

FOLDER = "deploychecks"
ENTRY_POINTS = "deploycheck.checks"
ID = re.compile(r"[A-Z]{2,}[0-9]{3}")


@dataclass(frozen=True, kw_only=True)
class OwnModule:
    """A module of checks; its name is the middle of their node ids."""

    name: str
    module: ModuleType

    @property
    def file(self) -> Path:
        """Where it is."""
        return Path(str(self.module.__file__))

    @property
    def checks(self) -> list[Check]:
        """Its checks, in their order."""
        return [record for value in vars(self.module).values() if (record := check_of(value))]


def load(root: Path) -> list[OwnModule]:
    """Import all modules of own checks.

    Raises:
        ConfigError: one cannot be imported, or holds something that cannot be a check; the message names it.
    """
    files = sorted((root / FOLDER).glob("[!_]*.py"))
    if files and str(root) not in sys.path:
        sys.path.append(str(root))
    names = [f"{FOLDER}.{file.stem}" for file in files]
    names += sorted({point.value for point in metadata.entry_points(group=ENTRY_POINTS)})
    modules = [OwnModule(name=name, module=_imported(name)) for name in names]
    homes: dict[str, str] = {}
    for module in modules:
        for said in _problems(module):
            raise ConfigError(f"{module.name}: {said}")
        for record in module.checks:
            if record.id in homes:
                raise ConfigError(f"{record.id} is in {homes[record.id]} and in {module.name}: renumber one")
            homes[record.id] = module.name
    return modules


def _imported(name: str) -> ModuleType:
    pytest.register_assert_rewrite(name)
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # noqa: BLE001  (it is somebody else's code, and may do anything)
        last = traceback.extract_tb(error.__traceback__)[-1]
        at = "" if isinstance(error, SyntaxError) else f" ({last.filename}:{last.lineno})"
        raise ConfigError(f"{name} cannot be imported: {type(error).__name__}: {error}{at}") from None


def _problems(module: OwnModule) -> Iterator[str]:
    """Say what is wrong with the functions of a module."""
    for name, value in vars(module.module).items():
        record = check_of(value)
        if record is None:
            if name.startswith("check_") and getattr(value, "__module__", "") == module.name:
                yield f"{name} is no check: mark it with @check, or call it otherwise"
            continue
        if not name.startswith("check_"):
            yield f"{name} is marked as {record.id}: call it check_{name}, or it does not run"
        if record.prefix in {concept.prefix for concept in Concept}:
            yield f"{record.id}: IDs in {record.prefix} are deploycheck's own: choose another prefix"
        if not ID.fullmatch(record.id):
            yield f"{record.id} is no ID: write capitals and three digits, such as SHOP001"
        if record.filed_under is None:
            yield f"{record.id} has no concept: add concept=Concept.RESTARTS, or another, to @check"
        if not (record.function.__doc__ or "").strip():
            yield f"{name} has no docstring: its first line says what is done to the stack"
