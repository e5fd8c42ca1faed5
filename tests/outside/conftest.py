"""A running stack for each proxy, for programs that no one here wrote."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from harness import PROGRAMS_OF, REPOSITORY

from pytest_deploycheck.reader import load
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import start_and_watch
from pytest_deploycheck.workshop import Workshop

PROXIES = json.loads((REPOSITORY / "cookiecutter.json").read_text(encoding="utf-8"))["https_proxy"]


@pytest.fixture(scope="module", params=PROXIES)
def stack(request: pytest.FixtureRequest, baked: Callable[..., Path]) -> Iterator[Stack]:
    """The unbroken project, serving behind one of the proxies with a certificate of a test CA."""
    for program in PROGRAMS_OF.get(request.param, ()):
        if not shutil.which(program, path=SYSTEM_PATH):
            pytest.skip(f"apt-get install {program}")
    workshop = Workshop(load(baked(app_server="gunicorn", https_proxy=request.param)))
    try:
        started = workshop.stack()
        start = start_and_watch(started)
        assert start.served, start.describe()
        yield started
    finally:
        workshop.close()


@pytest.fixture
def ca_file(stack: Stack, tmp_path: Path) -> Path:
    """The test CA, as programs take it."""
    file = tmp_path / "ca.pem"
    stack.copy.run.ca.cert_pem.write_to_path(str(file))
    return file
