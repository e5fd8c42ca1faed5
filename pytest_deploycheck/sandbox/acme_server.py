"""A real ACME server on this machine: pebble, by the makers of Let's Encrypt, with a DNS that knows one address.

https://github.com/letsencrypt/pebble
"""

from __future__ import annotations

import json
import ssl
import subprocess
from pathlib import Path

import httpx2

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.certificates import issued_for
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import Run
from pytest_deploycheck.sandbox.tools import require

PROGRAMS = ("pebble", "pebble-challtestsrv")
START_DEADLINE_S = 10.0
# Answers come at once, and none is refused at random: https://github.com/letsencrypt/pebble#testing-at-full-speed
SETTINGS = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}


class AcmeServer:
    """An ACME server that issues for any name, once it has found the challenge's answer at 127.0.0.1.

    Attributes:
        acme: how clients reach it.
        root: the CA that issues, made anew at each start, in PEM.
    """

    def __init__(
        self, run: Run, *, http_port: int, https_port: int, valid_s: int, directory_port: int
    ) -> None:
        """Start it; it ends with the run, or when it is closed.

        Args:
            run: whose processes it belongs to.
            http_port, https_port: where it looks for the answers to HTTP-01 and TLS-ALPN-01.
            valid_s: for how long its certificates are valid, in seconds.
            directory_port: where clients reach it; take it from ``run.ports`` before the clients are configured.

        Raises:
            NotVerified: it is not installed, or does not start.
        """
        self._run = run
        self._folder = run.folder / f"acme-{directory_port}"
        self._folder.mkdir()
        dns, management = run.ports.take(), run.ports.take()
        self._management = f"https://{LOOPBACK}:{management}"
        self.acme = acme_at(run, directory_port)
        certificate = issued_for(LOOPBACK, run.ca)
        chain, key = self._folder / "server.crt", self._folder / "server.key"
        certificate.cert_chain_pems[0].write_to_path(str(chain))
        certificate.private_key_pem.write_to_path(str(key))
        settings = {
            "listenAddress": f"{LOOPBACK}:{directory_port}",
            "managementListenAddress": f"{LOOPBACK}:{management}",
            "certificate": str(chain),
            "privateKey": str(key),
            "httpPort": http_port,
            "tlsPort": https_port,
            "certificateValidityPeriod": valid_s,
            # Clients wait so many seconds before they ask again; usually it is 3 and 5.
            "retryAfter": {"authz": 1, "order": 1},
        }
        file = self._folder / "pebble.json"
        file.write_text(json.dumps({"pebble": settings}), encoding="utf-8")
        answers = f"{LOOPBACK}:{dns}"
        # The management cannot be left out: without an address it listens at port 80 of all addresses.
        others = (
            "-http01",
            "",
            "-https01",
            "",
            "-tlsalpn01",
            "",
            "-management",
            f"{LOOPBACK}:{run.ports.take()}",
        )
        self._processes = [
            self._start(
                PROGRAMS[1], "-dns01", answers, "-defaultIPv4", LOOPBACK, "-defaultIPv6", "", *others
            ),
            self._start(PROGRAMS[0], "-config", str(file), "-dnsserver", answers, "-strict=false"),
        ]
        self.root = wait_for(self._root, bool, deadline_s=START_DEADLINE_S)
        if not self.root:
            self.close()
            raise NotVerified(f"pebble does not start: {self.log()[-400:]}")

    def _start(self, *argv: str) -> subprocess.Popen[bytes]:
        name, _, value = self._run.tag.partition("=")
        with (self._folder / "log").open("ab") as log:
            return self._run.popen(
                list(argv),
                env={name: value, "PATH": "/usr/local/bin:/usr/bin:/bin", **SETTINGS},
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def _root(self) -> str:
        """Return the root of the CA that issues; empty as long as the server does not answer."""
        context = ssl.create_default_context(cafile=self.acme.root)
        try:
            return httpx2.get(f"{self._management}/roots/0", verify=context, trust_env=False).text
        except httpx2.TransportError:
            return ""

    def log(self) -> str:
        """Return what it printed."""
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")

    def close(self) -> None:
        """End it: nobody issues any more."""
        for process in self._processes:
            process.kill()
            process.wait()


def require_acme_server(environment: Path) -> None:
    """Make sure that it can be started.

    Raises:
        NotVerified: it is not installed.
    """
    for program in PROGRAMS:
        require(program, environment, install="apt-get install pebble")


def acme_at(run: Run, directory_port: int) -> Acme:
    """Return how the server at a port will be reached."""
    root = run.folder / "acme-root.pem"
    run.ca.cert_pem.write_to_path(str(root))
    return Acme(directory=f"https://{LOOPBACK}:{directory_port}/dir", root=root)
