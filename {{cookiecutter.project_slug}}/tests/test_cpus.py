"""How many workers "auto" is."""

import os
from pathlib import Path

import pytest

from {{ cookiecutter.project_slug }} import cpus


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"service/cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n", "service/cpu.max": "max 100000\n"}, 1),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "300000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 3),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, 8),
    ],
)
def test_quota_of_the_control_group_counts(
    files: dict[str, str], expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Affinity gives eight CPUs; a quota around the process, in either version, leaves fewer."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(cpus, "CGROUPS", tmp_path)
    monkeypatch.setattr(cpus, "GROUPS", tmp_path / "groups")
    (tmp_path / "groups").write_text("4:cpu,cpuacct:/host/path\n0::/service\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    assert cpus.available() == expected
