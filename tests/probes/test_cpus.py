"""How many CPUs a process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pytest_deploycheck.probes import cpus


@pytest.mark.parametrize(
    ("files", "share"),
    [
        ({}, None),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"a/b/cpu.max": "max 100000\n", "a/cpu.max": "25000 100000\n"}, 0.25),
        ({"cpu,cpuacct/a/cpu.cfs_quota_us": "50000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu,cpuacct/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_quota_counts(
    files: dict[str, str], share: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The smallest quota of a control group around the process counts, of either version; else its affinity."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    groups = tmp_path / "groups"
    groups.write_text("7:cpu,cpuacct:/a\n0::/a/b\n")
    monkeypatch.setattr(cpus, "CGROUPS", tmp_path)
    monkeypatch.setattr(cpus, "GROUPS", str(groups))
    assert cpus.cpus() == (share or len(os.sched_getaffinity(0)))
    assert cpus.workers_that_fit() == (1 if share else len(os.sched_getaffinity(0)))


def test_own_control_group_can_be_read() -> None:
    """The kernel's own files are understood, whatever they say here."""
    assert 0 < cpus.cpus() <= len(os.sched_getaffinity(0))
