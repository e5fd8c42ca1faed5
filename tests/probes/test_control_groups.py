"""The limit that the kernel keeps for processes, in both versions of control groups."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_deploycheck.probes.control_groups import memory_limit

MIB = 1 << 20


def is_in(proc: Path, pid: int, lines: str) -> None:
    """Say in which groups a process is."""
    (proc / str(pid)).mkdir(parents=True)
    (proc / str(pid) / "cgroup").write_text(lines, encoding="utf-8")


def limit(folder: Path, name: str, value: str) -> None:
    """Give a group a limit."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"{value}\n", encoding="ascii")


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """Return what stands for /proc."""
    return tmp_path / "proc"


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    """Return what stands for /sys/fs/cgroup."""
    return tmp_path / "cgroup"


def test_the_smallest_limit_on_the_way_up_counts(proc: Path, groups: Path) -> None:
    """In version 2 a group is bound by all groups around it, and "max" is no limit."""
    is_in(proc, 7, "0::/app.slice/app.service\n")
    limit(groups / "app.slice/app.service", "memory.max", "max")
    limit(groups / "app.slice", "memory.max", str(512 * MIB))
    limit(groups, "memory.max", str(900 * MIB))
    assert memory_limit([7], proc=proc, groups=groups) == 512 * MIB


def test_a_limit_of_one_worker_is_none_of_all_together(proc: Path, groups: Path) -> None:
    """Only groups that have all processes in them count."""
    for pid in (7, 8):
        is_in(proc, pid, f"0::/app.slice/worker@{pid}.service\n")
        limit(groups / f"app.slice/worker@{pid}.service", "memory.max", str(100 * MIB))
    limit(groups / "app.slice", "memory.max", str(512 * MIB))
    assert memory_limit([7, 8], proc=proc, groups=groups) == 512 * MIB


def test_version_1_has_a_tree_for_memory(proc: Path, groups: Path) -> None:
    """Other controllers' trees are left alone, and the number that means no limit is none."""
    is_in(proc, 7, "5:cpu,cpuacct:/small\n4:memory:/docker/ea28\n0::/\n")
    limit(groups / "memory/docker/ea28", "memory.limit_in_bytes", str(140 * MIB))
    limit(groups / "memory", "memory.limit_in_bytes", "9223372036854771712")
    assert memory_limit([7], proc=proc, groups=groups) == 140 * MIB


@pytest.mark.parametrize("lines", ["0::/\n", "4:memory:/\n", "0::/../outside\n", ""])
def test_without_a_limit_there_is_none(lines: str, proc: Path, groups: Path) -> None:
    """Neither where the kernel names none, nor for a group that is out of sight."""
    is_in(proc, 7, lines)
    limit(groups / "memory", "memory.limit_in_bytes", "9223372036854771712")
    limit(groups.parent / "outside", "memory.max", "1")
    assert memory_limit([7], proc=proc, groups=groups) is None


def test_a_process_that_is_gone_has_no_limit(proc: Path, groups: Path) -> None:
    """It may end between two looks."""
    assert memory_limit([7], proc=proc, groups=groups) is None
    assert memory_limit([], proc=proc, groups=groups) is None
