"""A promise that manifests can keep or break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from pytest_deploycheck.config import Config
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests

Keep = Callable[[Manifests, Config], None]


@dataclass(frozen=True, kw_only=True)
class Promise:
    """What is read for one check.

    Attributes:
        check_id: the check that gets the answer.
        reads: the objects and fields, for the report.
        keep: raises AssertionError, with object, field and fix, where the manifests break it.
        alone: whether that it raises nothing is an answer where no pod runs.
    """

    check_id: str
    reads: str
    keep: Keep
    alone: bool


class Adds(Protocol):
    """Makes a decorator that adds a function to a list of promises."""

    def __call__(self, check_id: str, reads: str, *, alone: bool = True) -> Callable[[Keep], Keep]:
        """See ``Promise``."""


def promises() -> tuple[list[Promise], Adds]:
    """Return a list, and the decorator that adds a function to it: ``@promise("RST004", "livenessProbe")``."""
    found: list[Promise] = []

    def promise(check_id: str, reads: str, *, alone: bool = True) -> Callable[[Keep], Keep]:
        def add(keep: Keep) -> Keep:
            found.append(Promise(check_id=check_id, reads=reads, keep=keep, alone=alone))
            return keep

        return add

    return found, promise
