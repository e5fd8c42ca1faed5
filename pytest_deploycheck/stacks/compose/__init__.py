"""Compose: the project's own file and image, on this machine's container engine. https://compose-spec.io."""

from pytest_deploycheck.stacks.compose.stack import ComposeStack

__all__ = ["ComposeStack"]
