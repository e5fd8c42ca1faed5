"""What several tests of whole runs need."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import Sabotage


@pytest.fixture
def project(broken: Callable[[Sabotage], Path]) -> Path:
    """An unbroken project of this test's own."""
    return broken(Sabotage(id="none", changes=(), caught_by=frozenset()))


@pytest.fixture
def short_tmp() -> Iterator[Path]:
    """A temporary folder of this test's own, with a short path: unix sockets are made in it."""
    folder = Path("/tmp", f"t{os.getpid()}-{random.randrange(10**6)}")
    folder.mkdir()
    yield folder
    folder.rmdir()  # fails if anything was left in it
