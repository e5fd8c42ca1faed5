"""The files of a generated project for a swarm."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import bake_into
from ruamel.yaml import YAML

OTHERS = {"supervisor", "systemd", "compose.yaml", "docker compose", "kube", "traefik"}
# Each proxy with the file in which it looks for tasks.
PROXIES = {"caddy": "Caddyfile", "haproxy": "haproxy.cfg", "nginx": "nginx.conf"}


@pytest.fixture(
    scope="module",
    params=[("caddy", "sqlite"), ("caddy", "postgresql"), ("haproxy", "sqlite"), ("nginx", "postgresql")],
    ids="-".join,
)
def answers(request: pytest.FixtureRequest) -> dict[str, str]:
    """The answers of one project."""
    proxy, database = request.param
    return {"https_proxy": proxy, "database": database}


@pytest.fixture(scope="module")
def project(answers: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project for a swarm."""
    return bake_into(tmp_path_factory.mktemp("swarm") / "projects", process_manager="swarm", **answers)


def test_scripts_are_shell(project: Path) -> None:
    """Each script may be executed, and a shell can read it."""
    scripts = [path for path in (project / "deploy").iterdir() if path.read_bytes().startswith(b"#!")]
    assert {"serve", "previous-steps", "reload", "containers"} <= {path.name for path in scripts}
    for script in scripts:
        name = script.name
        assert script.stat().st_mode & 0o111, name
        subprocess.run(["sh", "-n", script], check=True)


def test_each_value_of_the_stack_file_is_given(project: Path) -> None:
    """What stands in ``${}`` is exported by deploy/reload, and is a line of .env if the script does not make it."""
    values = set(re.findall(r"\$\{(\w+)\}", (project / "deploy/swarm.yaml").read_text(encoding="utf-8")))
    script = (project / "deploy/reload").read_text(encoding="utf-8")
    of_env = set(re.findall(r"^for name in (.*); do$", script, re.MULTILINE)[0].split())
    made = set(re.findall(r"^export (.*)$", script, re.MULTILINE)[0].split())
    lines = (project / ".env").read_text(encoding="utf-8").splitlines()
    assert values <= of_env | made
    assert of_env <= {line.partition("=")[0] for line in lines}


def test_only_the_proxy_is_in_the_machine_s_network(project: Path) -> None:
    """The app is in a network that leads nowhere, and publishes nothing; its disk is read-only, it has no right."""
    reader = YAML(typ="safe", pure=True)
    stack = reader.load((project / "deploy/swarm.yaml").read_text(encoding="utf-8"))
    app = stack["services"]["app"]
    assert [stack["networks"][name]["internal"] for name in app["networks"]] == [True]
    assert "ports" not in app
    assert (app["read_only"], app["cap_drop"]) == (True, ["ALL"])


def test_secrets_are_in_files_and_nowhere_else(project: Path) -> None:
    """The app gets each of them as a file that it alone can read; no other file of the project knows one."""
    stack = YAML(typ="safe", pure=True).load((project / "deploy/swarm.yaml").read_text(encoding="utf-8"))
    secrets = {path.name: path.read_text(encoding="ascii") for path in (project / ".secrets").iterdir()}
    given = {one["source"]: one["uid"] for one in stack["services"]["app"]["secrets"]}
    assert given == dict.fromkeys(["env", *secrets], "10001")
    assert given.keys() == stack["secrets"].keys()
    others = [path for path in project.rglob("*") if path.is_file() and path.parent.name != ".secrets"]
    for secret in secrets.values():
        assert not [path for path in others if secret.encode() in path.read_bytes()]


@pytest.mark.parametrize("answers", [("nginx", "postgresql")], indirect=True)
def test_database_is_nobody_s_but_the_app_s(project: Path) -> None:
    """It listens at no address but its own, and publishes nothing; its password is long; two never run at once."""
    stack = YAML(typ="safe", pure=True).load((project / "deploy/swarm.yaml").read_text(encoding="utf-8"))
    database = stack["services"]["database"]
    assert "listen_addresses=127.0.0.1" in database["command"]
    assert "ports" not in database
    assert (database["read_only"], database["cap_drop"], database["user"]) == (True, ["ALL"], "postgres")
    assert database["deploy"]["update_config"]["order"] == "stop-first"
    assert len((project / ".secrets/database_password").read_text(encoding="ascii")) == 48


def test_nothing_of_other_answers_is_there(project: Path, answers: dict[str, str]) -> None:
    """No file, and no word in one, is left of answers that were not given."""
    files = [path for path in project.rglob("*") if path.is_file() and ".git/" not in str(path)]
    found = {
        (path.name, other)
        for path in files
        for other in OTHERS | PROXIES.keys() - {answers["https_proxy"]}
        if other in path.name.lower() or other in path.read_text(encoding="utf-8", errors="replace").lower()
    }
    assert not found


@pytest.mark.parametrize("tasks", [1, 2, 3, 5])
def test_each_place_of_the_proxy_leads_to_one_task(
    project: Path, answers: dict[str, str], tasks: int, tmp_path: Path
) -> None:
    """A task that is ready takes its share of the sockets at which the proxy looks; no other task has them."""
    (tmp_path / "deploy").mkdir()
    run = tmp_path / "var/run"
    run.mkdir(parents=True)
    script = (project / "deploy/health.py").read_text(encoding="utf-8")
    (tmp_path / "deploy/health.py").write_text(script.replace("/tmp/was-ready", str(tmp_path / "was-ready")))
    taken = list[str]()
    for slot in range(1, tasks + 1):
        _be_ready(run / f"{socket.gethostname()}.sock")
        values = {"SLOT": str(slot), "REPLICAS": str(tasks)}
        subprocess.run([sys.executable, tmp_path / "deploy/health.py", "task"], env=values, check=True)
        links = [path for path in run.iterdir() if path.is_symlink()]
        taken += [link.name for link in links]
        for path in (*links, tmp_path / "was-ready"):
            path.unlink()
    text = (project / "deploy" / PROXIES[answers["https_proxy"]]).read_text(encoding="utf-8")
    assert sorted(taken) == sorted(re.findall(r"unix[/:@]var/run/(\d+\.sock)", text))


def _be_ready(path: Path) -> None:
    """Answer one request at a socket."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def answer() -> None:
        with listener, listener.accept()[0] as connection:
            connection.recv(1000)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nready")

    threading.Thread(target=answer, daemon=True).start()
