"""The contract of platforms for containers: what the image runs, under what they ask of it, on this machine."""

from __future__ import annotations

from collections.abc import Mapping

from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.stacks.cloud.contract import read_contract
from pytest_deploycheck.stacks.contained.edge import caddyfile
from pytest_deploycheck.stacks.contained.stack import IMAGE, ContainedStack, image_command
from pytest_deploycheck.stacks.contained.terms import Asking, Terms

# It listens at the port that the platform gives it, whatever that is.
EDGE_PORT = 8080
LOOK_S = 0.05

ADVICE = {
    "BOOT002": (IMAGE, None, "listen at 0.0.0.0 and the port in PORT, and write nothing but below TMPDIR"),
    "MEM002": ("deploy/cloud/contract.toml", None, "a limit of memory in each platform's file"),
    "PRE001": (
        "deploy/cloud/contract.toml",
        None,
        "previous_steps, which the platform runs before a release",
    ),
    "RST007": (IMAGE, None, "the exec form of CMD, and `exec` before the server where a script starts it"),
    "RST008": (
        "deploy/cloud/contract.toml",
        None,
        "the time that the server gives requests must be less than stop_grace_s",
    ),
    "TLS003": ("src", None, "the app itself adds Strict-Transport-Security: no proxy of its own does"),
    "TLS005": ("src", None, "ProxyHeadersMiddleware with the platform's networks"),
    "TLS006": ("src", None, "ProxyHeadersMiddleware with the platform's networks only, and never '*'"),
    "TLS013": ("src", None, "the app itself limits bodies: no proxy of its own does"),
    "TLS014": ("src", None, "the app itself gives up on slow bodies, and until then lets others be served"),
}


class CloudStack(ContainedStack):
    """A copy of the project under the contract of platforms for containers; see the ``Stack`` protocol.

    What only a platform keeps is not observed: see ``answers.py``.
    """

    NAME = "cloud"
    ADVICE = ADVICE

    def __init__(
        self, copy: ProjectCopy, extra: Mapping[str, str] | None = None, *, acme: Acme | None = None
    ) -> None:
        config = copy.run.config
        contract = read_contract(copy.root / config.manager_config, config.manager_config)
        until_it_listens = Asking(period_s=LOOK_S, failures=max(1, int(contract.start_s / LOOK_S)))
        terms = Terms(
            keeper="platform",
            command=image_command(copy.root),
            steps=(contract.previous_steps,) if contract.previous_steps else (),
            port=EDGE_PORT,
            probes={"startup": until_it_listens},
            stop_grace_s=contract.stop_grace_s,
            memory_mb=config.memory_limit_mb,
            read_only=contract.read_only,
        )
        super().__init__(copy, extra, acme=acme, terms=terms, caddyfile=caddyfile(config.domain, EDGE_PORT))
        self.parts["proxy"] = "edge"
        variable, port = contract.port_variable, self.app_ports[EDGE_PORT]
        self.environment |= {variable: str(port), "DEPLOYCHECK_PORTS": f"{port}={port}"}
        grace_s = terms.stop_grace_s
        files = ", ".join(contract.platforms.values()) or "no file of theirs"
        self.relocated = [
            f"platform -> a process that gives it {variable}={port}, starts it anew, and stops it in {grace_s} s",
            f"the platform's edge -> Caddy on {LOOPBACK}:{self.entry.https_port}, with a certificate of the test CA",
            *self.contained_relocations(),
            f"the platforms themselves -> not asked: read was {files}",
        ]
