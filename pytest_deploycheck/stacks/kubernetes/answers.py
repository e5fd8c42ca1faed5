"""Who answers each check: a pod on this machine, the manifests, or nobody."""

from __future__ import annotations

import enum

from pytest_deploycheck.stacks.kubernetes.nobody import NOT_APPLICABLE, NOT_VERIFIED


class Keeper(enum.StrEnum):
    """Whose promise a check is."""

    POD = "observed: a pod on this machine"
    BOTH = "declared: the pod's part is seen, the cluster's is read"
    CLUSTER = "declared: the manifests are read"
    NOBODY = "not verified"
    NO_ONE_NEEDED = "does not apply"


READ_ONLY = frozenset(
    {"TLS001", "TLS002", "TLS003", "TLS007", "TLS008", "TLS010", "BOOT001", "RST006", "RST009", "RES005"}
)
# Kubelet, gateway, scheduler or autoscaler do a part: what stands for them here is no observation of it.
SEEN_IN_PART = frozenset(
    {
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
)


def keeper_of(check_id: str) -> Keeper:
    """Return whose promise a check is."""
    if check_id in NOT_VERIFIED:
        return Keeper.NOBODY
    if check_id in NOT_APPLICABLE:
        return Keeper.NO_ONE_NEEDED
    if check_id in READ_ONLY:
        return Keeper.CLUSTER
    return Keeper.BOTH if check_id in SEEN_IN_PART else Keeper.POD
