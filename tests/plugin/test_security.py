"""What docs/security.md promises of a run: each promise that can be tested here is."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import enclosure
import pytest
import trustme
from cryptography import x509
from harness import Sabotage, run_deploycheck

from pytest_deploycheck.reader import load
from pytest_deploycheck.sandbox.certificates import CertificateFiles
from pytest_deploycheck.sandbox.run import Run

ELSEWHERE = """
import socket, time
def serve(family, kind, address):
    made = socket.socket(family, kind)
    made.bind((address, 0))
    if kind == socket.SOCK_STREAM:
        made.listen()
    return made
kept = [
    serve(socket.AF_INET, socket.SOCK_STREAM, "0.0.0.0"),
    serve(socket.AF_INET6, socket.SOCK_DGRAM, "::"),
    serve(socket.AF_INET, socket.SOCK_STREAM, "127.0.0.1"),
    serve(socket.AF_INET6, socket.SOCK_STREAM, "::1"),
]
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError:
    pass
time.sleep(0.5)
"""


@pytest.fixture
def enclosed(tmp_path: Path) -> tuple[list[str], Path]:
    """Return what a command is started by to run without any network but loopback, and the file that tells of it."""
    seen = tmp_path / "seen.json"
    started_by = [*enclosure.COMMAND, str(seen)]
    for program in ("unshare", "ip"):
        if not shutil.which(program):
            pytest.skip("apt-get install util-linux iproute2")
    if subprocess.run([*started_by, "true"], capture_output=True, check=False).returncode:
        pytest.skip("a network namespace of its own needs root")
    return started_by, seen


def test_the_enclosure_sees_what_it_must(enclosed: tuple[list[str], Path]) -> None:
    """A program that listens everywhere and asks another machine is seen to do so; loopback does not count."""
    started_by, seen = enclosed
    subprocess.run([*started_by, sys.executable, "-c", ELSEWHERE], check=True)
    found = json.loads(seen.read_text(encoding="utf-8"))
    assert found["attempts"] == 1
    assert [bound.rpartition(":")[0] for bound in found["bound"]] == ["tcp 0.0.0.0", "udp6 ::"]


@pytest.mark.slow
def test_a_whole_run_stays_on_loopback(
    enclosed: tuple[list[str], Path], broken: Callable[[Sabotage], Path]
) -> None:
    """No process of a run asks another machine or listens on another address, and all checks pass without a network."""
    started_by, seen = enclosed
    project = broken(Sabotage(id="none", changes=(), caught_by=frozenset()))
    verdict = run_deploycheck(project, started_by=started_by)
    assert verdict.caught == frozenset(), verdict.explain()
    assert verdict.exit_status == 0, verdict.output
    assert json.loads(seen.read_text(encoding="utf-8")) == {"attempts": 0, "bound": []}


def test_what_a_run_writes_is_private(baked: Callable[..., Path]) -> None:
    """Its folder has mode 0700 whatever the umask, and is gone with the run."""
    before = os.umask(0)
    run = Run(load(baked(app_server="gunicorn")))
    try:
        assert stat.S_IMODE(run.folder.stat().st_mode) == 0o700
        assert run.copy().root.is_relative_to(run.folder)
    finally:
        run.close()
        os.umask(before)
    assert not run.folder.exists()


def test_certificates_live_a_day_and_their_keys_are_private(tmp_path: Path) -> None:
    """A test certificate that is left somewhere is of no use tomorrow; the key of its CA is in no file."""
    ca = trustme.CA()
    files = CertificateFiles.beside(tmp_path / "1", "example.com", renews_itself=False)
    certificate = x509.load_der_x509_certificate(files.issue(ca))
    left = certificate.not_valid_after_utc - dt.datetime.now(dt.UTC)
    assert dt.timedelta(hours=23) < left <= dt.timedelta(days=1)
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in written} == {0o600}
    assert not any(ca.private_key_pem.bytes() in path.read_bytes() for path in written)
