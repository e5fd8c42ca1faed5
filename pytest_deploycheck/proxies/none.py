"""A project whose proxy, if there is one, cannot be run here: the app is asked directly."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pytest_deploycheck.advice import Advice

NAME = "none"
ADVICE: Mapping[str, Advice] = MappingProxyType({})
