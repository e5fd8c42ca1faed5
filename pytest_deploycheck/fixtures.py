"""Fixtures for checks: the shared stack, its first start, and what the check's experiment has found."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_deploycheck.check import check_of
from pytest_deploycheck.outcome import NotApplicable, Note
from pytest_deploycheck.probes.health import UnderLoad, overload_attempts
from pytest_deploycheck.probes.saturation import Load, saturate
from pytest_deploycheck.stacks.protocol import Stack
from pytest_deploycheck.start import Start
from pytest_deploycheck.workshop import Workshop


@pytest.fixture(scope="session")
def workshop(request: pytest.FixtureRequest) -> Workshop:
    """Makes stacks."""
    making = request.config.pluginmanager.get_plugin("deploycheck-making")
    assert making is not None
    found: Workshop = making.workshop
    return found


@pytest.fixture
def note() -> Note:
    """Takes steps and measurements of this check."""
    return Note()


@pytest.fixture
def stack(workshop: Workshop) -> Stack:
    """The shared stack, running and steady."""
    return workshop.gentle.steady()


@pytest.fixture
def quiet_stack(workshop: Workshop) -> Stack:
    """The shared stack once experiments in the background only watch: for checks that measure times."""
    workshop.wait_for_quiet()
    return workshop.gentle.steady()


@pytest.fixture(scope="session")
def saturation(workshop: Workshop) -> Load:
    """The shared stack under as many requests as it can answer, once experiments only watch."""
    workshop.wait_for_quiet()
    stack = workshop.gentle.steady()
    return saturate(stack, stack.config.requests.read)


@pytest.fixture(scope="session")
def overload(workshop: Workshop) -> list[UnderLoad]:
    """The shared stack under far more slow requests than it can answer, once experiments only watch.

    Another program on this machine can delay a healthy app once, so it is tried again where health was slow.
    """
    slow = workshop.config.requests.heavy
    if slow is None:
        raise NotApplicable("no slow request is declared: [tool.deploycheck.requests] heavy")
    workshop.wait_for_quiet()
    stack = workshop.gentle.steady()
    return overload_attempts(stack, slow)


@pytest.fixture
def first_start(workshop: Workshop) -> Start:
    """What was seen when the shared stack started for the first time, on an empty database."""
    return workshop.first_start


@pytest.fixture
def experiment(request: pytest.FixtureRequest, workshop: Workshop) -> Any:
    """What this check's own experiment has found, in the background."""
    record = check_of(request.function)
    assert record is not None
    assert record.experiment is not None
    return workshop.result_of(record.experiment)
