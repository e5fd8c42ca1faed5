"""What a container is promised, whoever runs it: a platform for containers, or kubelet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pytest_deploycheck.detection.finding import ServerCommand


@dataclass(frozen=True, kw_only=True)
class Asking:
    """How a probe asks; https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes.

    Attributes:
        path: asked by HTTP; without it, and without a command, a connection is enough.
        command: run inside of the container.
        delay_s, period_s, timeout_s: before the first time, between two, and for an answer, in seconds.
        failures, successes: so many in a row count.
        grace_s: for a container that is ended for it, in seconds.
    """

    path: str = ""
    command: str = ""
    delay_s: float = 0
    period_s: float = 10
    timeout_s: float = 1
    failures: int = 3
    successes: int = 1
    grace_s: float = 0


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What stands around a container.

    Attributes:
        keeper: who starts it and stops it, as messages name them.
        command: what it runs.
        steps: what is run before it serves, one after the other.
        repeats_steps: whether steps that failed are tried again, and whether they precede each new container that takes
            the place of one that was stopped; else they belong to a release, which fails with them.
        port: at which it must listen.
        probes: by kind: startup, liveness, readiness.
        before_stop: what is run before SIGTERM; empty for nothing.
        stop_grace_s: from the beginning of a stop to SIGKILL, in seconds.
        memory_mb: the limit, in MiB; None for none.
        read_only: whether nothing but TMPDIR can be written.
    """

    keeper: str
    command: ServerCommand
    steps: tuple[str, ...] = ()
    repeats_steps: bool = False
    port: int
    probes: Mapping[str, Asking] = field(default_factory=dict)
    before_stop: str = ""
    stop_grace_s: float
    memory_mb: int | None
    read_only: bool

    def order(self, **more: Any) -> dict[str, Any]:
        """Return what the process that stands for the keeper needs of it, beside ``more``."""
        return {
            "name": self.keeper,
            "repeats_steps": self.repeats_steps,
            "stop_grace_s": self.stop_grace_s,
            **more,
        }
