"""A promise that manifests can keep or break."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

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
    """

    check_id: str
    reads: str
    keep: Keep


def promises() -> tuple[list[Promise], Callable[[str, str], Callable[[Keep], Keep]]]:
    """Return a list, and the decorator that adds a function to it: ``@promise("RST004", "livenessProbe")``."""
    found: list[Promise] = []

    def promise(check_id: str, reads: str) -> Callable[[Keep], Keep]:
        def add(keep: Keep) -> Keep:
            found.append(Promise(check_id=check_id, reads=reads, keep=keep))
            return keep

        return add

    return found, promise
