"""What docs/security.md promises of a run: each promise that can be tested here is."""

from __future__ import annotations

import datetime as dt
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import enclosure
import pytest
import trustme
from cryptography import x509

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


def test_the_enclosure_sees_what_it_must(tmp_path: Path) -> None:
    """A program that listens everywhere and asks another machine is seen to do so; loopback does not count.

    In it ``test_unbroken_project_passes_everything`` runs all checks, and nothing may be seen.
    """
    seen = tmp_path / "seen.json"
    try:
        command = [*enclosure.started_by(seen), sys.executable, "-c", ELSEWHERE]
    except OSError as error:
        pytest.skip(str(error))
    subprocess.run(command, check=True)
    found = json.loads(seen.read_text(encoding="utf-8"))
    assert found["attempts"] == 1
    assert [bound.rpartition(":")[0] for bound in found["bound"]] == ["tcp 0.0.0.0", "udp6 ::"]


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
