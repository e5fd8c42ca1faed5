"""A project's copy in which nothing is started."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pytest_deploycheck import proxies
from pytest_deploycheck.config import Config
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.run import ProjectCopy


@pytest.fixture
def copy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Make an empty one for example.com; programs count as installed, and certificates are not issued."""
    folder = Path(tempfile.mkdtemp())
    root = folder / "1"
    root.mkdir()
    config = Config(
        root=root, project="x", env={}, settings={}, domain="example.com", manager_config="supervisord.conf"
    )
    ports = itertools.cycle(range(21_000, 29_000))
    run: Any = SimpleNamespace(
        config=config,
        folder=folder,
        tag="DEPLOYCHECK_RUN=none",
        ports=SimpleNamespace(take=lambda: next(ports)),
        ca=None,
    )
    for module in proxies.MODULES:
        monkeypatch.setattr(module, "require", lambda *_, **__: None)
    monkeypatch.setattr(CertificateFiles, "issue", lambda *_: b"")
    yield ProjectCopy(run=run, root=root)
    shutil.rmtree(folder)
