"""A pod of the rendered Deployment on this machine: processes stand for kubelet and for the gateway."""

from __future__ import annotations

from collections.abc import Mapping

from dotenv import dotenv_values

from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.stacks.command import variables_of
from pytest_deploycheck.stacks.contained.edge import caddyfile
from pytest_deploycheck.stacks.contained.stack import IMAGE, ContainedStack
from pytest_deploycheck.stacks.kubernetes import podman
from pytest_deploycheck.stacks.kubernetes.gateway import routes_for_caddy
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, named, render
from pytest_deploycheck.stacks.kubernetes.terms import jobs, terms_of, variables

_DEPLOYMENT = "deploy/kubernetes/base/deployment.yaml"
ADVICE = {
    "BOOT002": (
        _DEPLOYMENT,
        None,
        "listen at the port to which the Service leads, and write below TMPDIR only",
    ),
    "BOOT003": (
        _DEPLOYMENT,
        None,
        "previous steps that fail without their database: kubelet tries them again",
    ),
    "MEM002": (_DEPLOYMENT, None, "resources.limits.memory"),
    "PRE001": (_DEPLOYMENT, None, "an init container that runs the previous steps"),
    "RST004": (_DEPLOYMENT, None, "a livenessProbe that asks the app, with a short patience"),
    "RST007": (IMAGE, None, "the exec form of CMD, and `exec` before the server where a script starts it"),
    "RST008": (
        _DEPLOYMENT,
        None,
        "terminationGracePeriodSeconds for preStop and the server's own graceful timeout",
    ),
    "RST010": (_DEPLOYMENT, None, "a livenessProbe that does not ask the database"),
    "TLS005": ("src", None, "ProxyHeadersMiddleware with the cluster's networks"),
    "TLS006": ("src", None, "ProxyHeadersMiddleware with the cluster's networks only, and never '*'"),
    "TLS013": ("src", None, "the app itself limits bodies: the Gateway API has no field for it"),
    "TLS014": ("src", None, "the app itself gives up on slow bodies, and until then lets others be served"),
}


class KubernetesStack(ContainedStack):
    """A copy of the project, of which one pod runs; see the ``Stack`` protocol.

    What only a cluster keeps is not observed: see ``answers.py``.
    """

    NAME = "kubernetes"
    ADVICE = ADVICE

    def __init__(
        self, copy: ProjectCopy, extra: Mapping[str, str] | None = None, *, acme: Acme | None = None
    ) -> None:
        config = copy.run.config
        folder = config.manager_config or ""
        self._found = found = Manifests.parsed(folder, render(copy.root, folder)[1])
        terms = terms_of(found, config)
        routes = routes_for_caddy(found)
        super().__init__(
            copy, extra, acme=acme, terms=terms, caddyfile=caddyfile(config.domain, terms.port, routes)
        )
        self.parts["proxy"] = "gateway"
        deployment = named(found.app)
        steps = (
            f"its {len(terms.steps)} init containers or Jobs first" if terms.steps else "nothing before it"
        )
        self.relocated = [
            f"cluster -> one pod of {deployment}, and not {found.fewest}; no cluster was asked",
            f"kubelet -> a process that starts its container anew, {steps}, asks its probes, and ends it",
            f"at a stop the container is gone within {terms.stop_grace_s} s, the time of preStop in it",
            "a pod that was ready and is not any more -> still gets requests",
            f"gateway -> Caddy on {LOOPBACK}:{self.entry.https_port}, with the manifests' routes",
            "its certificate -> one of the test CA",
            f"the pod's port {terms.port} -> {LOOPBACK}:{self.app_ports[terms.port]}",
            *self.contained_relocations(),
            f"Secrets -> the values of {config.env_file}",
            *(
                f"{named(job)} -> run before the pod: in a cluster it runs beside"
                for job in jobs(found, config)
            ),
        ]

    def contained_relocations(self) -> list[str]:
        """Return what is not as in a container of production, a line each."""
        lack = podman.missing(self.config.root)
        return [
            f"container runtime -> processes of this machine; podman would run containers, it needs {lack}",
            *super().contained_relocations(),
        ]

    def variables(self) -> dict[str, str]:
        """Return the variables of the image and of the pod."""
        return {**variables_of(self.terms.command, self.copy.root), **self.pod_variables()}

    def pod_variables(self) -> dict[str, str]:
        """Return the variables of the pod; what is in a Secret comes from the environment file."""
        file = self.copy.root / self.config.env_file
        read = dotenv_values(file, encoding="utf-8") if file.is_file() else {}
        return variables(self._found, {name: value or "" for name, value in read.items()})
