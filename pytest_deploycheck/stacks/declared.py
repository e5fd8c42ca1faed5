"""What runs nowhere here is read: a check gets an answer from files, instead of a running stack or beside it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

from pytest_deploycheck.check import Check, check_of
from pytest_deploycheck.outcome import Evidence, Note

# It passes by returning, fails by AssertionError, and has no verdict by raising an outcome such as NotVerified.
Answer = Callable[[Note], None]


@dataclass(frozen=True, kw_only=True)
class Besides:
    """What is read beside a check that is made.

    Attributes:
        answer: what is read; it comes first, for it costs nothing.
        evidence: what the check then rests on: DECLARED where a part of what is seen is not the deployment's own.
    """

    answer: Answer
    evidence: Evidence


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A deployment of which all or a part cannot run on this machine, and what its files say of each promise.

    Attributes:
        parts: names of ``manager``, ``proxy``, ``server`` and ``database``, for the report.
        read: what was read, and how, a line each: it stands where the report says what was moved.
        answers: by check ID, instead of the check. One that has none here is made as always.
        besides: by check ID, beside the check.
    """

    parts: Mapping[str, str]
    read: list[str]
    answers: Mapping[str, Answer]
    besides: Mapping[str, Besides] = field(default_factory=dict)

    def instead_of(self, module: ModuleType) -> ModuleType:
        """Return a module of checks in which those that have an answer are replaced by it."""
        found = ModuleType(module.__name__, module.__doc__)
        found.__dict__.update(module.__dict__)
        for name, value in vars(module).items():
            record = check_of(value)
            if record and record.id in self.answers:
                setattr(found, name, _reading(record, self.answers[record.id]))
            elif record and record.id in self.besides:
                setattr(found, name, _reading_too(record, self.besides[record.id]))
        return found


def _reading(record: Check, answer: Answer) -> Callable[[Note], None]:
    """Return a check that starts nothing: it has no fixture but the note, and no experiment."""

    def read(note: Note) -> None:
        """Read what the deployment declares; nothing is started."""
        note.evidence = Evidence.DECLARED
        answer(note)

    read.__name__ = record.function.__name__
    read.deploycheck = replace(  # type: ignore[attr-defined]
        record, function=read, experiment=None, needs=frozenset()
    )
    return read


def _reading_too(record: Check, besides: Besides) -> Callable[..., None]:
    """Return a check that reads, and then is made: it has the check's own fixtures, and the note."""
    parameters = inspect.signature(record.function).parameters

    def read_and_make(**fixtures: Any) -> None:
        note: Note = fixtures["note"]
        besides.answer(note)
        record.function(**{name: fixtures[name] for name in parameters})
        note.evidence = besides.evidence if note.evidence is Evidence.OBSERVED else note.evidence

    names = dict.fromkeys([*parameters, "note"])
    read_and_make.__name__ = record.function.__name__
    read_and_make.__doc__ = record.function.__doc__
    read_and_make.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    )
    read_and_make.deploycheck = replace(record, function=read_and_make)  # type: ignore[attr-defined]
    return read_and_make
