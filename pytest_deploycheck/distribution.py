"""With pytest-xdist: all checks go to one worker process, and the project's own tests spread over the others.

Checks share stacks, which a second worker would have to start once more. A ``--dist`` of the user's own is respected.
"""

from __future__ import annotations

import os

import pytest

from pytest_deploycheck.plugin import NODE_ID_PREFIX

CHECKS_TOGETHER = "deploycheck"


def choose(config: pytest.Config) -> None:
    """Take over the distribution, if there is one and the user asked for none in particular."""
    if config.getoption("dist", "no") == "load" and not _asked_for(config):
        config.option.dist = CHECKS_TOGETHER
        config.option.loadscopereorder = False  # checks take longest: they come first, as they are collected


def _asked_for(config: pytest.Config) -> bool:
    """Tell whether there is a ``--dist``: ``-n`` alone means ``--dist=load`` too."""
    words = [*config.invocation_params.args, *config.getini("addopts")]
    words += os.environ.get("PYTEST_ADDOPTS", "").split()
    return config.option.distload or any(str(word).startswith("--dist") for word in words)


def is_ours(config: pytest.Config) -> bool:
    """Tell whether all checks go to one worker, in the main process and in the workers."""
    told = getattr(config, "workerinput", {}).get(CHECKS_TOGETHER, False)
    return bool(told or config.getoption("dist", "no") == CHECKS_TOGETHER)


def is_distributed(config: pytest.Config) -> bool:
    """Tell whether tests run in workers of pytest-xdist, of which this may be one."""
    return is_worker(config) or config.getoption("dist", "no") != "no"


def is_worker(config: pytest.Config) -> bool:
    """Tell whether this is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def scheduler(config: pytest.Config, log: object) -> object:
    """Return what hands the tests out: the checks as one unit, other tests by function."""
    from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped,unused-ignore]

    class ChecksTogether(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return NODE_ID_PREFIX if nodeid.startswith(NODE_ID_PREFIX) else nodeid.partition("[")[0]

    return ChecksTogether(config, log)
