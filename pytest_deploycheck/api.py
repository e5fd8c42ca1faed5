"""What checks of one's own are made of. The names here are public interface."""

from pytest_deploycheck.check import Concept, check
from pytest_deploycheck.experiments import Lane, lane
from pytest_deploycheck.outcome import Blocked, Evidence, NotApplicable, Note, NotVerified
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.proxies.protocol import Acme, Proxy, Relocated
from pytest_deploycheck.stacks.base import BaseStack
from pytest_deploycheck.stacks.protocol import Stack, StackError
from pytest_deploycheck.workshop import Workshop

__all__ = [
    "Acme",
    "BaseStack",
    "Blocked",
    "Concept",
    "Evidence",
    "Lane",
    "NotApplicable",
    "NotVerified",
    "Note",
    "Proxy",
    "Relocated",
    "Stack",
    "StackError",
    "Workshop",
    "check",
    "lane",
    "wait_for",
]
