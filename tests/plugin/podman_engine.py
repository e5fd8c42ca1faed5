"""Podman for the length of some tests, with a storage of its own, and its service in the place of Docker's engine."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.engine import Engine

# Without systemd, on control groups of version 1, and beside the storage of this machine's user.
CONF = """
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[containers]
default_ulimits = []
"""
STORAGE = '[storage]\ndriver = "overlay"\ngraphroot = "{0}/root"\nrunroot = "{0}/run"\n'
START_DEADLINE_S = 30.0
PROCESSES = 4096


def missing(*programs: str) -> str | None:
    """Return what this machine lacks, None if all is here."""
    for program in ("podman", "runc", "dpkg", *programs):
        if not shutil.which(program):
            return f"install {program}"
    return None if os.geteuid() == 0 else "only root can see the processes in podman's containers"


@contextmanager
def storage(folder: Path) -> Iterator[None]:
    """Let podman keep all that it has in a folder, until the end."""
    (folder / "containers.conf").write_text(CONF, encoding="utf-8")
    (folder / "storage.conf").write_text(STORAGE.format(folder), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_CONF", str(folder / "containers.conf"))
        patch.setenv("CONTAINERS_STORAGE_CONF", str(folder / "storage.conf"))
        yield
        subprocess.run(["podman", "system", "reset", "--force"], check=True, capture_output=True)


@contextmanager
def service(folder: Path) -> Iterator[Engine]:
    """Let podman answer as Docker's engine does; ``docker`` and the checks find it by ``DOCKER_HOST``."""
    found = Engine(folder / "podman.sock")
    command = ["podman", "system", "service", "--time=0", found.address]
    with storage(folder), pytest.MonkeyPatch.context() as patch, (folder / "log").open("wb") as log:
        patch.setenv("DOCKER_HOST", found.address)
        # Where a container's memory was not enough, a file "oom" is left in the service's folder.
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            up = wait_for(lambda: found.pid, bool, deadline_s=START_DEADLINE_S)
            assert up, (folder / "log").read_text(encoding="utf-8")
            yield found
        finally:
            process.terminate()
            process.wait(timeout=START_DEADLINE_S)


def fit_limits(project: Path) -> None:
    """Name a limit of processes: where one of files is named, podman asks for more than root may have everywhere."""
    file = project / "compose.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("ulimits: {", f"ulimits: {{nproc: {PROCESSES}, "), encoding="utf-8")
