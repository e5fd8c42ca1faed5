"""The program that renders manifests, in versions that are not here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.stacks.kubernetes.manifests import render
from pytest_deploycheck.stacks.protocol import StackError

REFUSES = """#!/bin/sh
[ "$1" = kustomize ] && {{ echo "Error: '../../base' must be a file" >&2; exit 1; }}
echo '{said}'
"""


@pytest.fixture
def version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Put a kubectl in the place of all programs that refuses the folder, and says its version."""
    program = tmp_path / "kubectl"
    program.write_text(REFUSES.format(said=json.dumps(request.param)), encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))


@pytest.mark.parametrize(
    "version", [{"clientVersion": {"major": "1", "minor": "20+"}}], indirect=True, ids=["1.20"]
)
@pytest.mark.usefixtures("version")
def test_an_old_one_says_nothing_of_the_manifests(tmp_path: Path) -> None:
    """It does not know what stands in them: that is not their fault."""
    with pytest.raises(NotVerified, match=r"kubectl 1\.20 is too old to render overlay: install kubectl"):
        render(tmp_path, "overlay")


@pytest.mark.parametrize(
    "version", [{"clientVersion": {"major": "1", "minor": "32"}}, {}], indirect=True, ids=["1.32", "unknown"]
)
@pytest.mark.usefixtures("version")
def test_a_new_one_is_believed(tmp_path: Path) -> None:
    """So is one that does not say how old it is."""
    with pytest.raises(StackError, match=r"overlay: kubectl: Error: '../../base' must be a file"):
        render(tmp_path, "overlay")
