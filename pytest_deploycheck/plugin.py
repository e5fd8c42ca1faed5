"""The pytest hooks that are there without ``--deploycheck``. Nothing else is imported until the flag is given."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Generator

import pytest

NODE_ID_PREFIX = "deploycheck::"
CHECKS_ARE_APART = "deploycheck_apart"  # what workers of pytest-xdist are told


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    """Declare the hooks by which others bring parts of a stack."""
    from pytest_deploycheck import hookspecs

    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the ``deploycheck`` options."""
    group = parser.getgroup("deploycheck", "prove the deployment of this project by behaviour")
    group.addoption(
        "--deploycheck",
        action="store_true",
        help="start the project's own production stack in a sandbox and run the deployment checks against it, "
        "beside the project's own tests",
    )
    group.addoption(
        "--deploycheck-select",
        metavar="ID|CONCEPT,...",
        help="run only these checks: IDs (RST002), concepts (https, startup, restarts, replication, memory, "
        "previous_steps, resources) or ID prefixes (TLS), separated by commas",
    )
    group.addoption(
        "--deploycheck-report",
        metavar="DIR",
        help="write report.html, summary.md, badge.svg and report.json into this folder (made if missing)",
    )
    group.addoption(
        "--deploycheck-baseline",
        metavar="FILE",
        help="show what changed since an earlier run: its report.json",
    )
    group.addoption(
        "--deploycheck-strict",
        action="store_true",
        help="fail on everything that was not observed: not_verified, waived, or passed by declaration only",
    )
    group.addoption(
        "--deploycheck-cluster",
        metavar="CONTEXT",
        help="run the pods of a project on Kubernetes in the cluster of this context of your kubeconfig, in namespaces "
        "of their own, which are removed afterwards; the current context is never used",
    )
    group.addoption(
        "--deploycheck-cluster-image",
        metavar="IMAGE",
        help="the image that the pods run there, with your registry's name; by default that of the manifests",
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(args: list[str]) -> Generator[None, None, None]:
    """Let Python find its temporary folder before a Ctrl-C can come between.

    It writes a file there and removes it; pytest's capturing, which begins next, would be the first to ask.
    """
    if "--deploycheck" in args and sys.platform == "linux":
        from pytest_deploycheck.sandbox.signals import held_back

        with held_back():
            tempfile.gettempdir()
    return (yield)


def pytest_configure(config: pytest.Config) -> None:
    """Hand over to the session plugin, when asked to."""
    config.addinivalue_line("markers", "deploycheck: a check of the project's deployment")
    asked_by_id = any(arg.startswith(NODE_ID_PREFIX) for arg in config.args)
    if config.option.deploycheck or asked_by_id:
        if getattr(config, "workerinput", {}).get(CHECKS_ARE_APART):
            from pytest_deploycheck import arguments

            arguments.leave_checks_out(config)
            return
        from pytest_deploycheck import platforms

        if not platforms.can_read_manifests():
            raise pytest.UsageError(platforms.refusal("--deploycheck"))
        pytest.register_assert_rewrite("pytest_deploycheck.checks")  # before anything imports them
        from pytest_deploycheck.session import start_session

        start_session(config)
        return
    for option in ("select", "report", "baseline", "strict", "cluster", "cluster_image"):
        if getattr(config.option, f"deploycheck_{option}"):
            name = option.replace("_", "-")
            raise pytest.UsageError(f"--deploycheck-{name} does nothing without --deploycheck: add it")
