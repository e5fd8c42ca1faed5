"""Who answers each check where a cluster is asked: its pods, the manifests, or nobody."""

from __future__ import annotations

import re
from dataclasses import replace

from pytest_deploycheck.stacks.kubernetes.answers import KEEPERS
from pytest_deploycheck.stacks.kubernetes.cluster.access import Cluster
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests
from pytest_deploycheck.stacks.kubernetes.pods import probe

# Kubelet, the Deployment's controller and the Service do their part there themselves.
SEEN = frozenset(
    {
        "RST002",
        "RST003",
        "RST004",
        "RST006",
        "RST009",
        "REP002",
        "REP004",
        "REP006",
        "PRE001",
        "PRE005",
        "PRE009",
        "RES001",
        "RES002",
        "RES004",
    }
)
OF_THE_GATEWAY = (
    "the pod through which requests come stands where the gateway does, and is believed: whether other pods are kept "
    "away, the NetworkPolicy says, and the cluster's network decides"
)
KEEPERS_OF_CLUSTER = replace(
    KEEPERS,
    here="pods in the cluster, or commands of the project here",
    both="the pods' part is seen, the rest is read",
    read_only=KEEPERS.read_only - SEEN,
    seen_in_part=KEEPERS.seen_in_part - SEEN,
    not_verified={
        **{check_id: why for check_id, why in KEEPERS.not_verified.items() if check_id not in SEEN},
        "TLS006": OF_THE_GATEWAY,
    },
)

# The first version of Kubernetes 1 in which a probe's own grace is kept by default:
# https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes
GRACE_OF_PROBES = 25


def unknown_to(cluster: Cluster, found: Manifests, check_id: str) -> str:
    """Return why a cluster is too old to show what the manifests promise of a check; empty if it is not."""
    minor = re.match(r"v1\.(\d+)", cluster.version)
    has_grace = "terminationGracePeriodSeconds" in probe(found.container, "liveness")
    if check_id == "RST004" and has_grace and minor and int(minor[1]) < GRACE_OF_PROBES:
        return (
            f"the livenessProbe has a terminationGracePeriodSeconds, which Kubernetes {cluster.version} leaves out: "
            f"v1.{GRACE_OF_PROBES} and later keep it"
        )
    return ""
