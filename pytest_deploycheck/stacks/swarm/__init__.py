"""Swarm: the project's own stack file and image, on this machine's container engine, which must be in swarm mode."""

from pytest_deploycheck.stacks.swarm.stack import SwarmStack

__all__ = ["SwarmStack"]
