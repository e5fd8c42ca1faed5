"""What a check is: an ID, a promise, and a function that acts on a running stack and looks."""

from __future__ import annotations

import enum
import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from pytest_deploycheck.need import Need

COURSE_URL = "https://deploycheck.readthedocs.io/en/latest"


class Concept(enum.Enum):
    """The seven concepts of the FastAPI documentation page "Deployments Concepts", in its order."""

    HTTPS = ("https", "TLS", "Security - HTTPS")
    STARTUP = ("startup", "BOOT", "Running on startup")
    RESTARTS = ("restarts", "RST", "Restarts")
    REPLICATION = ("replication", "REP", "Replication - processes")
    MEMORY = ("memory", "MEM", "Memory")
    PREVIOUS_STEPS = ("previous_steps", "PRE", "Previous steps before starting")
    RESOURCES = ("resources", "RES", "Resource utilization")

    @property
    def slug(self) -> str:
        """The name of its module, its chapter, and in reports."""
        return self.value[0]

    @property
    def prefix(self) -> str:
        """What the IDs of its checks begin with."""
        return self.value[1]

    @property
    def title(self) -> str:
        """Its name in the documentation."""
        return self.value[2]

    @classmethod
    def of(cls, check_id: str) -> Concept:
        """Return the concept that a check ID such as ``RST002`` belongs to."""
        prefix = check_id.rstrip("0123456789")
        return next(concept for concept in cls if concept.prefix == prefix)


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check's record. ``act`` is the first line of the function's docstring.

    ``filed_under`` and ``docs`` are there for checks that are not the plugin's own.
    """

    id: str
    title: str
    expect: str
    fix: str
    function: Callable[..., None]
    experiment: Callable[..., Any] | None
    should: bool
    filed_under: Concept | None = None
    docs: str = ""
    needs: frozenset[Need] = frozenset()

    @property
    def prefix(self) -> str:
        """What its ID begins with, before the number."""
        return self.id.rstrip("0123456789")

    @property
    def concept(self) -> Concept:
        """The deployment concept that this check proves."""
        return self.filed_under or Concept.of(self.id)

    @property
    def act(self) -> str:
        """What the check does to the stack."""
        return (self.function.__doc__ or "").strip().splitlines()[0]

    @property
    def url(self) -> str:
        """Where it is explained: in the course, or where its author says."""
        if self.filed_under:
            return self.docs
        return f"{COURSE_URL}/{self.concept.slug}/#{self.id}"


F = TypeVar("F", bound=Callable[..., None])


def check(  # noqa: PLR0913  (a record has these fields)
    check_id: str,
    title: str,
    *,
    expect: str,
    fix: str,
    experiment: Callable[..., Any] | None = None,
    should: bool = False,
    concept: Concept | None = None,
    docs: str = "",
    needs: tuple[Need, ...] = (),
) -> Callable[[F], F]:
    """Make a function a check.

    Args:
        check_id: stable public ID, for example ``RST002``.
        title: the promise, as a sentence in lower case.
        expect: what must be seen, for the failure message.
        fix: what to change, in words that hold for every process manager.
        experiment: a function of a ``Workshop`` that runs in the background on stacks of its own; the check gets
            what it returns as the fixture ``experiment``.
        should: a failure warns only, unless the run is strict.
        concept: where reports show it. The plugin's own checks tell it by their ID's prefix, others have to name it.
        docs: a URL that explains a check that is not the plugin's own.
        needs: what a project may lack; without it the check is not made, and not verified.
    """

    def mark(function: F) -> F:
        function.deploycheck = Check(  # type: ignore[attr-defined]
            id=check_id,
            title=title,
            expect=expect,
            fix=fix,
            function=function,
            experiment=experiment,
            should=should,
            filed_under=concept,
            docs=docs,
            needs=frozenset(needs),
        )
        return function

    return mark


def check_of(function: object) -> Check | None:
    """Return the record of a function that ``check`` marked."""
    found = getattr(function, "deploycheck", None)
    return found if isinstance(found, Check) else None


def all_checks() -> list[Check]:
    """Return every check of every concept, in the order of the concepts and of the IDs."""
    return [
        record for concept in Concept for record in sorted(_checks_in(concept), key=lambda record: record.id)
    ]


def _checks_in(concept: Concept) -> Iterator[Check]:
    module = importlib.import_module(f"pytest_deploycheck.checks.{concept.slug}")
    yield from (record for value in vars(module).values() if (record := check_of(value)))
