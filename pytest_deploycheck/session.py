"""The session with ``--deploycheck``: reads the settings, and registers what makes the checks and what reports."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial

import pytest

from pytest_deploycheck import arguments, databases, distribution, fixtures, own_checks, platforms
from pytest_deploycheck.apart.plugin import Apart
from pytest_deploycheck.check import all_checks
from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.making import Making
from pytest_deploycheck.own_checks import OwnModule
from pytest_deploycheck.proxies.protocol import Proxy
from pytest_deploycheck.reader import load
from pytest_deploycheck.report.delivery import Delivery
from pytest_deploycheck.report.results import Results
from pytest_deploycheck.reporting import Reporting
from pytest_deploycheck.stacks import kubernetes
from pytest_deploycheck.stacks.selection import declared_for


def start_session(config: pytest.Config) -> None:
    """Register what ``--deploycheck`` needs.

    Raises:
        pytest.UsageError: nothing deployable is here, or a setting is wrong.
    """
    _refuse_moved_rootdir(config)
    try:
        settings = load(config.rootpath)
        databases.find(settings).verify()
        own = own_checks.load(config.rootpath)
        _refuse_other_systems(settings)
        option = config.option
        settings = kubernetes.with_cluster(
            settings, option.deploycheck_cluster, option.deploycheck_cluster_image
        )
    except ConfigError as error:
        _refuse_other_systems(None)
        raise pytest.UsageError(f"deploycheck: {error}") from None
    settings = replace(settings, more_proxies=_proxies_of_others(config, settings))
    if config.hook.pytest_deploycheck_stack(settings=settings):
        settings = replace(settings, lacks={})  # who brings a stack knows what it can show
    _refuse_bad_waivers(settings, own)
    delivery = Delivery.prepared(config.option, settings.root)
    config.pluginmanager.register(fixtures, "deploycheck-fixtures")
    declared = declared_for(settings)
    results = Results(settings, declared)
    if not distribution.is_worker(config):
        config.pluginmanager.register(Reporting(config, results, delivery), "deploycheck-reporting")
    new_making = partial(Making, config, settings, own, declared, results)
    if distribution.take_a_process(config):
        apart = Apart(config, arguments.of_checks(config), new_making, results)
        config.pluginmanager.register(apart, "deploycheck-apart")
        arguments.leave_checks_out(config)
    else:
        config.pluginmanager.register(new_making(), "deploycheck-making")
        arguments.add_checks(config)


def _refuse_other_systems(settings: Config | None) -> None:
    """Refuse a project that has to run, where nothing can be watched."""
    if not platforms.is_supported() and (settings is None or declared_for(settings) is None):
        raise pytest.UsageError(platforms.refusal("--deploycheck"))


def _refuse_moved_rootdir(config: pytest.Config) -> None:
    """Refuse a run of another project than the one in this folder.

    pytest looks for its rootdir before it knows our options, and takes the DIR of ``--deploycheck-report DIR`` for a
    path to tests.
    """
    here, words = config.invocation_params.dir, [str(word) for word in config.invocation_params.args]
    if config.rootpath == here or config.option.rootdir or not (here / arguments.ANCHOR).is_file():
        return
    for option, value in itertools.pairwise(words):
        if option in ("--deploycheck-report", "--deploycheck-baseline") and (here / value).exists():
            raise pytest.UsageError(
                f"deploycheck: not this folder but {config.rootpath} would be checked, for pytest takes {value} for a "
                f"path to tests: write {option}={value} with =, or add --rootdir=."
            )


def _proxies_of_others(config: pytest.Config, settings: Config) -> tuple[Proxy, ...]:
    found = itertools.chain(*config.hook.pytest_deploycheck_proxies(settings=settings))
    proxies = tuple(found)
    for proxy in proxies:
        for name in ("NAME", "ADVICE", "relocate"):
            if not hasattr(proxy, name):
                raise pytest.UsageError(f"pytest_deploycheck_proxies returned {proxy!r}, which has no {name}")
    return proxies


def _refuse_bad_waivers(settings: Config, own: list[OwnModule]) -> None:
    known = {record.id for record in (*all_checks(), *(record for module in own for record in module.checks))}
    for check_id, reason in settings.waivers.items():
        if check_id not in known:
            raise pytest.UsageError(f"[tool.deploycheck.waivers] {check_id} is no check of this version")
        if not reason.strip():
            raise pytest.UsageError(f"[tool.deploycheck.waivers] {check_id} needs a reason")
