"""A PostgreSQL server whose data folder is a small disk of its own, which can be filled. It needs no root.

The kernel lets an ordinary user mount a tmpfs where a user namespace may be made; only the server sees it.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pytest_deploycheck.sandbox.postgresql_server import Cluster, PostgresServer, as_nobody
from pytest_deploycheck.sandbox.run import Run

SIZE_MB = 120
ALONE = ("unshare", "--user", "--mount", "--map-current-user", "--keep-caps")
# Its arguments are those of postgres: -D FOLDER, and settings.
POSTGRES = """#!/bin/sh
export REAL={real}
exec {alone} sh -ec '
mkdir "$2.disk"
mount -t tmpfs -o size={size_mb}m,mode=0700 small "$2.disk"
cp -a "$2/." "$2.disk"
mount --bind "$2.disk" "$2"
exec "$REAL" "$@"
' sh "$@"
"""


def require_namespaces() -> None:
    """Skip where the kernel makes no user namespaces for ordinary users."""
    done = _as_its_user(*ALONE, "mount", "-t", "tmpfs", "small", "/mnt")
    if done.returncode != 0:
        pytest.skip(f"an ordinary user may mount nothing here, not even for itself: {done.stderr.strip()}")


def server_on_a_small_disk(run: Run) -> PostgresServer:
    """Let the run's server be one on a small disk; nobody may have asked for it before."""

    def make() -> Cluster:
        cluster = Cluster._make(run)
        folder = run.folder / "on-a-small-disk"
        folder.mkdir()
        script = folder / "postgres"
        script.write_text(
            POSTGRES.format(real=cluster.programs / "postgres", alone=" ".join(ALONE), size_mb=SIZE_MB)
        )
        script.chmod(0o755)
        run.folder.chmod(0o711)  # its user is another one, if ours is root
        return replace(cluster, programs=folder)

    run.shared(Cluster, make)
    return PostgresServer.of(run)


@contextlib.contextmanager
def full(server: PostgresServer) -> Iterator[None]:
    """Fill the server's disk for the length of a ``with`` block."""
    assert server._process
    ballast = f"/proc/{server._process.pid}/root{server._data}/ballast"
    for size in ("1M", "1"):  # to the last byte
        done = _as_its_user(
            "dd", "if=/dev/zero", f"of={ballast}", f"bs={size}", "oflag=append", "conv=notrunc"
        )
        assert "No space left on device" in done.stderr
    try:
        yield
    finally:
        _as_its_user("rm", ballast)


def _as_its_user(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a program as the one to whom the server belongs: nobody else may write there, not even root."""
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"LC_ALL": "C"}, **as_nobody()
    )
