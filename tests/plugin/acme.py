"""An ACME server that nobody asks."""

from pathlib import Path

from pytest_deploycheck.proxies.protocol import Acme

ACME = Acme(directory="https://127.0.0.1:14000/dir", root=Path("/root.pem"))
