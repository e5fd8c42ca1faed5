"""What runs nowhere here is read: each check gets an answer from what is declared, instead of a running stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import ModuleType

from pytest_deploycheck.check import Check, check_of
from pytest_deploycheck.outcome import Evidence, Note

# It passes by returning, fails by AssertionError, and has no verdict by raising an outcome such as NotVerified.
Answer = Callable[[Note], None]


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A deployment that cannot run on this machine, and what its files say of each promise.

    Attributes:
        parts: names of ``manager``, ``proxy``, ``server`` and ``database``, for the report.
        read: what was read, and how, a line each: it stands where the report says what was moved.
        answers: by check ID. A check that has none here is made as always.
    """

    parts: Mapping[str, str]
    read: list[str]
    answers: Mapping[str, Answer]

    def instead_of(self, module: ModuleType) -> ModuleType:
        """Return a module of checks in which those that have an answer are replaced by it."""
        found = ModuleType(module.__name__, module.__doc__)
        found.__dict__.update(module.__dict__)
        for name, value in vars(module).items():
            record = check_of(value)
            if record and record.id in self.answers:
                setattr(found, name, _reading(record, self.answers[record.id]))
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
