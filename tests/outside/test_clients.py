"""Clients that people use: curl, and a websocket library."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
from websockets.sync.client import connect

from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.stacks.protocol import Stack

pytestmark = pytest.mark.slow


@pytest.mark.skipif(not shutil.which("curl"), reason="apt-get install curl")
def test_curl(stack: Stack, ca_file: Path) -> None:
    """curl is led from http to https, trusts the certificate, writes a note, and gets no version that is too old."""
    entry = stack.entry
    curl = [
        "curl",
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--noproxy",
        "*",
        "--cacert",
        str(ca_file),
    ]
    for public, port in ((80, entry.http_port), (443, entry.https_port)):
        curl += ["--connect-to", f"{entry.domain}:{public}:127.0.0.1:{port}"]

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*curl, *arguments], capture_output=True, text=True, timeout=30, check=False)

    where = run(
        "--location",
        "--output",
        "/dev/null",
        "--write-out",
        "%{url_effective}",
        f"http://{entry.domain}/notes",
    )
    assert where.stdout == f"https://{entry.domain}/notes", where
    token = [word for name, value in entry.headers.items() for word in ("--header", f"{name}: {value}")]
    note = ["--json", '{"text": "from curl"}']
    made = run(*token, *note, f"https://{entry.domain}/notes")
    assert "from curl" in made.stdout, made
    old = run("--tls-max", "1.1", f"https://{entry.domain}/notes")
    assert old.returncode == 35, old  # CURLE_SSL_CONNECT_ERROR


def test_a_websocket_library(stack: Stack, ca_file: Path) -> None:
    """A websocket is opened over TLS, and a text comes back."""
    entry = stack.entry
    uri = f"wss://{entry.domain}{entry.prefix}{MARK}echo"
    context = ssl.create_default_context(cafile=ca_file)
    line = socket.create_connection(("127.0.0.1", entry.https_port))
    with connect(uri, sock=line, ssl=context, additional_headers=entry.headers) as websocket:
        websocket.send("Grüße")
        assert websocket.recv(timeout=10) == "Grüße"
