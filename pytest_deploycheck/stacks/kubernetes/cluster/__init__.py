"""A real cluster: the project's pods run there, in namespaces of their own, which are removed afterwards."""

from pytest_deploycheck.stacks.kubernetes.cluster.access import Cluster, chosen

__all__ = ["Cluster", "chosen"]
