"""systemd: the project's units, on a machine that is booted."""

from pytest_deploycheck.stacks.systemd.stack import SystemdStack

__all__ = ["SystemdStack"]
