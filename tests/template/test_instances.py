"""How many pods or containers there are, and what each of them has."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest
from conftest import Bake
from dotenv import dotenv_values
from ruamel.yaml import YAML

from pytest_deploycheck.reader import load
from pytest_deploycheck.stacks.cloud.contract import read_contract
from pytest_deploycheck.stacks.cloud.grants import read_grants
from pytest_deploycheck.stacks.cloud.promises import Case, keep
from pytest_deploycheck.stacks.kubernetes import PROMISES
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, render
from pytest_deploycheck.stacks.kubernetes.rollout import strategy

CONTRACT = "deploy/cloud/contract.toml"
RESERVED = 3


@pytest.mark.skipif(not shutil.which("kubectl"), reason="install kubectl")
@pytest.mark.parametrize(("workers", "pool"), [("2", "5"), ("15", "5"), ("16", "4"), ("38", "2")])
def test_database_takes_the_pools_of_all_pods(bake: Bake, workers: str, pool: str) -> None:
    """Those that a release adds too; and what the previous steps are told of it is what the manifests say."""
    project = bake(process_manager="kubernetes", database="postgresql", workers=workers)
    config = load(project)
    found = Manifests.parsed("", render(project, config.manager_config or "")[1])
    PROMISES["REP007"].keep(found, config)
    PROMISES["MEM001"].keep(found, config)
    values = found.environment(found.container)
    assert (found.fewest, values["DATABASE_CONNECTIONS"]) == (int(workers), pool)
    assert values["DATABASE_POOLS"] == str(found.most + strategy(found, "maxSurge", "25%"))
    assert dotenv_values(project / ".env")["DATABASE_POOLS"] == values["DATABASE_POOLS"]


@pytest.mark.parametrize(
    ("workers", "pool", "memory_mb", "machine", "cpus"),
    [
        ("2", "5", "512", ("shared-cpu-1x", "512mb"), "1"),
        ("19", "5", "700", ("shared-cpu-1x", "768mb"), "1"),
        ("20", "4", "128", ("shared-cpu-1x", "256mb"), "1"),
        ("48", "2", "4096", ("shared-cpu-2x", "4096mb"), "1"),
        ("2", "5", "5000", ("shared-cpu-4x", "5120mb"), "2"),
        ("2", "5", "16384", ("shared-cpu-8x", "16384mb"), "4"),
    ],
)
def test_platforms_have_what_is_asked_of_them(
    bake: Bake, workers: str, pool: str, memory_mb: str, machine: tuple[str, str], cpus: str
) -> None:
    """Connections fit the database, memory comes in the platform's steps, and there are as many CPUs as it wants."""
    project = bake(process_manager="cloud", database="postgresql", workers=workers, memory_limit_mb=memory_mb)
    config, contract = load(project), read_contract(project / CONTRACT, CONTRACT)
    cases = [
        Case(grants=grants, contract=contract, config=config)
        for grants in read_grants(project, contract.platforms)
    ]
    for check_id in ("REP007", "MEM001", "RST002", "BOOT002"):
        assert keep(check_id, cases)
    environments = [case.grants.environment for case in cases]
    assert {values["DATABASE_CONNECTIONS"] for values in environments} == {pool}
    assert {values["DATABASE_POOLS"] for values in environments} == {str(contract.max_containers)}
    assert int(pool) * contract.max_containers <= config.max_connections - RESERVED  # type: ignore[operator]
    (vm,) = tomllib.loads((project / "fly.toml").read_text(encoding="utf-8"))["vm"]
    assert (vm["size"], vm["memory"]) == machine
    yaml = YAML(typ="safe", pure=True)
    text = (Path(project) / "deploy/cloud/cloud-run.yaml").read_text(encoding="utf-8")
    job, run = yaml.load_all(text)
    for spec in (job["spec"]["template"]["spec"]["template"]["spec"], run["spec"]["template"]["spec"]):
        assert spec["containers"][0]["resources"]["limits"]["cpu"] == cpus


def test_pods_that_are_not_ready_may_be_moved(bake: Bake) -> None:
    """Without a database none is ready: then a machine can be emptied all the same. PgBouncer can be reached."""
    project = bake(process_manager="kubernetes", database="postgresql")
    yaml = YAML(typ="safe", pure=True)
    base = project / "deploy/kubernetes/base"
    _, budget = yaml.load_all((base / "scaling.yaml").read_text(encoding="utf-8"))
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    _, policy = yaml.load_all((base / "service.yaml").read_text(encoding="utf-8"))
    (egress,) = policy["spec"]["egress"]
    assert {port["port"] for port in egress["ports"]} == {53, 5432, 6432}
