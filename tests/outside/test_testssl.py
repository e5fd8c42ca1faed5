"""testssl.sh, which looks at TLS as the public can see it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from pytest_deploycheck.stacks.protocol import Stack

TESTSSL = next(filter(None, map(shutil.which, ("testssl", "testssl.sh"))), None)
MINUTES = 10
FINE = ("OK", "INFO", "LOW", "DEBUG")
# What a certificate of a test CA has not: an end soon, somebody who says whether it was revoked, and transparency logs.
OF_THE_TEST_CA = (
    "cert_revocation",
    "cert_crlDistributionPoints",
    "OCSP_stapling",
    "certificate_transparency",
    "DNS_CAArecord",
    "cert_validityPeriod",
)
# testssl.sh 3.0 asks for this with an OpenSSL that is too new for it, and says that it could not.
NOT_ASKED = ("secure_renego",)

pytestmark = [pytest.mark.slow, pytest.mark.testssl]


@pytest.mark.skipif(TESTSSL is None, reason="apt-get install testssl.sh")
def test_nothing_of_medium_severity_or_worse(
    stack: Stack, ca_file: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """No finding but those that come of the test CA."""
    if not pytestconfig.option.testssl:
        pytest.skip("takes minutes: --testssl")
    findings = tmp_path / "findings.json"
    options = ["--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", "127.0.0.1"]
    done = subprocess.run(
        [
            str(TESTSSL),
            *options,
            f"--add-ca={ca_file}",
            f"--jsonfile={findings}",
            f"https://{stack.entry.domain}:{stack.entry.https_port}/",
        ],
        capture_output=True,
        text=True,
        timeout=MINUTES * 60,
        check=False,
    )
    assert findings.exists(), done.stdout + done.stderr
    found = json.loads(findings.read_text(encoding="utf-8"))
    assert len(found) > 100, done.stdout
    bad = [
        item
        for item in found
        if item["severity"] not in FINE and not item["id"].startswith((*OF_THE_TEST_CA, *NOT_ASKED))
    ]
    assert not bad, json.dumps(bad, indent=1)
