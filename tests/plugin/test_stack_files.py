"""Stack files of a swarm: how they are known, and what is moved in them; no engine is needed."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_deploycheck.config import Config
from pytest_deploycheck.sandbox.engine import Container, Engine, Labels
from pytest_deploycheck.stacks.compose import ComposeStack
from pytest_deploycheck.stacks.selection import stack_for
from pytest_deploycheck.stacks.swarm import SwarmStack
from pytest_deploycheck.stacks.swarm.moved_file import moved_file, only
from pytest_deploycheck.stacks.swarm.tasks import Tasks

DOCUMENT = {
    "services": {
        "app": {
            "image": "notes:${RELEASE}",
            "environment": ["A=1"],
            "env_file": "../.env",
            "volumes": [{"type": "tmpfs", "target": "/tmp"}, "data:/app/var/data"],
            "secrets": [{"source": "env", "target": "/app/.env", "uid": "10001"}],
        }
    },
    "secrets": {"env": {"file": "../.env"}, "other": {"external": True}},
    "configs": {"caddyfile": {"file": "Caddyfile"}},
}
CHANGE = {
    "image": "built:1",
    "user": "0:0",
    "volumes": ["/copy/var/data:/app/var/data"],
    "environment": {"TOKEN": "pa$$word"},
}


@pytest.mark.parametrize(
    ("file", "stack"),
    [
        ("deploy/swarm.yaml", SwarmStack),
        ("stack.yml", SwarmStack),
        ("prod.stack.yml", SwarmStack),
        ("compose.yaml", ComposeStack),
        ("docker-compose.swarm.yml", SwarmStack),
        ("docker-compose.prod.yml", ComposeStack),
    ],
)
def test_stack_file_is_known_by_its_name(tmp_path: Path, file: str, stack: type) -> None:
    """Compose files and stack files look alike, so the name says who runs it."""
    config = Config(
        project="notes", root=tmp_path, env={}, settings={}, domain="localhost", manager_config=file
    )
    assert stack_for(config) is stack


def test_what_only_production_has_is_moved() -> None:
    """Mounts give way to those at the same place, values are literal, paths absolute, and nothing belongs to a user."""
    moved = moved_file(DOCUMENT, {"services": {"app": CHANGE}}, folder=Path("/copy/deploy"), release="r1")
    app = moved["services"]["app"]
    assert (app["image"], app["user"]) == ("built:1", "0:0")
    assert app["volumes"] == [{"type": "tmpfs", "target": "/tmp"}, "/copy/var/data:/app/var/data"]
    assert app["environment"] == {"A": "1", "TOKEN": "pa$$$$word", "DEPLOYCHECK_RELEASE": "r1"}
    assert app["secrets"] == [{"source": "env", "target": "/app/.env"}]
    assert app["env_file"] == ["/copy/.env"]
    assert moved["secrets"] == {"env": {"file": "/copy/.env"}, "other": {"external": True}}
    assert moved["configs"] == {"caddyfile": {"file": "/copy/deploy/Caddyfile"}}
    assert DOCUMENT["services"]["app"]["environment"] == ["A=1"]


def test_a_service_alone_makes_no_secret_of_others() -> None:
    """A secret keeps its content in a swarm: those of services that are deployed later have not the last one yet."""
    more = {"database": {"secrets": ["password"], "configs": [{"source": "role"}]}}
    document = {
        "services": {**DOCUMENT["services"], **more},
        "secrets": {**DOCUMENT["secrets"], "password": {"file": "p", "name": "p_${ID}"}},
        "configs": {**DOCUMENT["configs"], "role": {"file": "r"}},
        "volumes": {"data": None},
    }
    assert only("database", document) == {
        "services": more,
        "secrets": {"password": {"file": "p"}},
        "configs": {"role": {"file": "r"}},
        "volumes": {"data": None},
    }


class Said(Engine):
    """An engine that knows these containers."""

    def containers(self, _project: str, _labels: Labels | None = None) -> list[Container]:  # type: ignore[override]
        """Return an app that was started three times, and a proxy that has ended."""
        rows = [
            ("app", "exited", "1"),
            ("app", "running", "3"),
            ("app", "exited", "2"),
            ("proxy", "exited", "4"),
        ]
        return [
            Container(
                identity=created,
                service=service,
                status=status,
                pid=0,
                exit_status=1,
                health="",
                restarts=0,
                created=created,
                ended="",
            )
            for service, status, created in rows
        ]


def test_containers_that_have_a_successor_are_left_out() -> None:
    """Swarm keeps containers that have ended; only the last one of a service tells how it is."""
    tasks = Tasks(engine=Said(Path("none")), project="notes", app="app", proxy="proxy")
    assert [one.identity for one in tasks.of()] == ["3", "4"]
    assert [one.identity for one in tasks.live()] == ["3"]
    assert not tasks.are_running()
    assert tasks.have_failed()
