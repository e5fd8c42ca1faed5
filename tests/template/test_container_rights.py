"""What the services of generated projects may do: the same few things, whichever the proxy and the database."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import bake_into
from ruamel.yaml import YAML

FILES = {"compose": "compose.yaml", "swarm": "deploy/swarm.yaml"}
# All users: those of the app's image and of the database have no rights, and root keeps what stands beside it.
RIGHTS = {
    "app": (None, set()),
    "migrate": (None, set()),
    "database": ("postgres", set()),
    "certificates": (None, set()),
}
PROXY_RIGHTS = {
    "caddy": ("0:10001", {"NET_BIND_SERVICE"}),
    "haproxy": ("0:10001", {"NET_BIND_SERVICE"}),
    "nginx": ("0:101", {"NET_BIND_SERVICE", "SETGID"}),
    "traefik": ("root", {"NET_BIND_SERVICE"}),
}
CASES = [
    (manager, proxy, database)
    for manager in FILES
    for proxy in PROXY_RIGHTS
    for database in ("sqlite", "postgresql")
    if (manager, proxy) != ("swarm", "traefik")
]


@pytest.fixture(scope="module", params=CASES, ids="-".join)
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path, dict[str, dict[str, Any]]]:
    """Return the answer to ``https_proxy``, the project, and its services."""
    manager, proxy, database = request.param
    folder = tmp_path_factory.mktemp("rights") / "projects"
    project = bake_into(folder, process_manager=manager, https_proxy=proxy, database=database)
    text = (project / FILES[manager]).read_text(encoding="utf-8")
    services: dict[str, dict[str, Any]] = YAML(typ="safe", pure=True).load(text)["services"]
    return proxy, project, services


def test_no_service_has_more_rights_than_it_needs(case: tuple[str, Path, dict[str, dict[str, Any]]]) -> None:
    """Each has a read-only disk and few of root's rights or none, publishes nothing, and gets no engine's socket."""
    proxy, project, services = case
    for name, service in services.items():
        user, kept = PROXY_RIGHTS[proxy] if name == "proxy" else RIGHTS[name]
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert set(service.get("cap_add", ())) == kept, name
        assert service.get("user") == user, name
        assert not {"ports", "privileged", "devices", "pid", "ipc"} & service.keys(), name
        assert "docker.sock" not in str(service), name
    users = [
        line.split()[1]
        for line in (project / "Dockerfile").read_text(encoding="utf-8").splitlines()
        if line.startswith("USER ")
    ]
    assert users == ["10001:101" if proxy == "nginx" else "10001:10001"]


def test_no_service_takes_all_of_the_machine(case: tuple[str, Path, dict[str, dict[str, Any]]]) -> None:
    """Memory, processes and logs of each have a bound; in Compose nobody swaps and nobody gets new rights."""
    _, project, services = case
    for name, service in services.items():
        assert set(service["logging"]["options"]) == {"max-size", "max-file"}, name
        if (project / "compose.yaml").exists():
            assert service["mem_limit"] == service["memswap_limit"], name
            assert service["pids_limit"] > 0, name
            assert service["security_opt"] == ["no-new-privileges:true"], name
        else:
            assert service["deploy"]["resources"]["limits"].keys() == {"memory", "pids"}, name


@pytest.mark.parametrize("manager", FILES)
@pytest.mark.parametrize(("workers", "most"), [("2", 16), ("64", 64), ("auto", 256)])
def test_workers_have_room_for_their_threads(manager: str, workers: str, most: int, tmp_path: Path) -> None:
    """A worker has a thread for each request in progress and for each body that was on its way, and some of its own."""
    project = bake_into(
        tmp_path / "projects", process_manager=manager, workers=workers, memory_limit_mb="8192"
    )
    text = (project / FILES[manager]).read_text(encoding="utf-8")
    app = YAML(typ="safe", pure=True).load(text)["services"]["app"]
    limit = app["pids_limit"] if manager == "compose" else app["deploy"]["resources"]["limits"]["pids"]
    assert limit == 60 + 32 * most
