"""Other ASGI servers: they are run, and nothing is known of their settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_deploycheck.advice import Advice


@dataclass(frozen=True)
class OtherServer:
    """A server that has no module of its own."""

    NAME: str
    ADVICE: Mapping[str, Advice] = field(default_factory=dict)
    CONTAINER_ADVICE: Mapping[str, Advice] = field(default_factory=dict)
