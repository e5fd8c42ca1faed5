"""Platforms for containers: the image's command runs under their contract, and each platform's file is read."""

from pytest_deploycheck.stacks.cloud.answers import declared
from pytest_deploycheck.stacks.cloud.contract import is_contract
from pytest_deploycheck.stacks.cloud.stack import CloudStack

__all__ = ["CloudStack", "declared", "is_contract"]
