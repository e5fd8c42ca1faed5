"""Who answers each check: a pod on this machine, the manifests, or nobody."""

from __future__ import annotations

from pytest_deploycheck.stacks.keepers import Keepers

KEEPERS = Keepers(
    here="a pod on this machine",
    both="the pod's part is seen, the cluster's is read",
    files="the manifests are read",
    not_verified={
        "TLS009": "the gateway's controller watches the Secret that cert-manager renews: only a cluster shows it",
        "TLS015": "what is answered while no pod is ready is the gateway's controller's: only a cluster shows it",
        "TLS016": "the gateway's controller offers HTTP/2, or not: no field of the manifests says it",
        "RES004": "how many files a container may open is set at the machines, by the container runtime",
    },
    not_applicable={
        "BOOT005": "no terminal starts a pod",
        "RST001": "each pod has one server process (REP001): its death is that of the server, RST002",
        "RES007": "the app writes no file: what it prints goes to the machine's container runtime",
    },
    read_only=frozenset(
        {"TLS001", "TLS002", "TLS003", "TLS007", "TLS008", "TLS010", "BOOT001", "RST006", "RST009", "RES005"}
    ),
    # Kubelet, gateway, scheduler or autoscaler do a part.
    seen_in_part=frozenset(
        {
            "TLS014",
            "RST002",
            "RST003",
            "RST004",
            "REP002",
            "REP004",
            "REP006",
            "REP007",
            "PRE001",
            "PRE004",
            "PRE005",
            "PRE009",
            "RES001",
            "RES002",
        }
    ),
)
