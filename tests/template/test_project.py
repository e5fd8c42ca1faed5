"""A baked project is in order by its own measures, and serves."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from conftest import bake_into
from harness import run_tool

ODD = {
    "project_name": "Ünïcode – Notes’ (it's) 🎉",  # noqa: RUF001
    "project_slug": "a_package_with_a_rather_long_name_indeed",
    "description": "What's – “this”?",  # noqa: RUF001
    "app_server": "uvicorn",
    "path_prefix": "/api/v1",
    "python_version": "3.12",
}

pytestmark = pytest.mark.slow


@pytest.fixture(
    scope="session",
    params=[
        {},
        ODD,
        {"https_proxy": "traefik"},
        ODD | {"https_proxy": "traefik"},
        {"database": "postgresql"},
        {"process_manager": "systemd"},
        {"process_manager": "compose", "database": "postgresql"},
        {"process_manager": "compose", "https_proxy": "traefik", "app_server": "uvicorn"},
        {"process_manager": "compose", "https_proxy": "nginx", "app_server": "uvicorn"},
    ],
    ids=[
        *("default", "odd", "traefik", "odd-traefik", "postgresql", "systemd"),
        *("compose-postgresql", "compose-traefik-uvicorn", "compose-nginx-uvicorn"),
    ],
)
def tried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make one project with the defaults, and one as different as can be."""
    return bake_into(tmp_path_factory.mktemp("tried") / "projects", **request.param)


def test_linter_is_content(tried: Path) -> None:
    """Ruff finds nothing to say, and nothing to format."""
    run_tool(tried, "ruff", "check", "--no-cache")
    run_tool(tried, "ruff", "format", "--check", "--no-cache")


def test_types_fit(tried: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Mypy, as strict as it can be, agrees."""
    run_tool(tried, "mypy", "--cache-dir", str(tmp_path_factory.getbasetemp() / "mypy"))


def test_own_tests_pass(tried: Path) -> None:
    """Also from the checkout alone, without `.env`: so they are run by the workflow."""
    values = (tried / ".env").rename(tried / "aside")
    try:
        run_tool(tried, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:deploycheck")
    finally:
        values.rename(tried / ".env")


def test_new_migration_fits_in(tmp_path: Path) -> None:
    """Whoever changes a table as the README says has a revision that linter, tests and models agree with."""
    project = bake_into(tmp_path / "p")
    models = project / "src" / "notes_api" / "models.py"
    column = '    stars: Mapped[int] = mapped_column(server_default="0", index=True)\n'
    models.write_text(models.read_text().replace("    text: Mapped[str]", f"{column}    text: Mapped[str]"))
    (project / "var" / "data").mkdir(parents=True)
    run_tool(project, "alembic", "upgrade", "head")
    run_tool(project, "alembic", "revision", "--autogenerate", "-m", "Count stars")
    run_tool(project, "alembic", "upgrade", "head")
    run_tool(project, "ruff", "check", "--no-cache")
    run_tool(project, "ruff", "format", "--check", "--no-cache")
    run_tool(project, "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:deploycheck")


class Deployment:
    """A project that was started as in production, on high ports of 127.0.0.1."""

    def __init__(self, project: Path, proxy: str, ports: tuple[int, int]) -> None:
        """Start it from elsewhere, with an empty environment."""
        self.project, self.proxy = project, proxy
        self.http_port, self.https_port = ports
        self.env = dict(
            line.split("=", 1) for line in (project / ".env").read_text().splitlines() if line[:1].isupper()
        )
        self.headers = {"Authorization": f"Bearer {self.env['API_TOKEN']}"}
        self.log = (project.parent / "start.log").open("w+")
        self.process = subprocess.Popen(
            [project / "deploy" / "start"],
            cwd="/",
            env={},
            stdout=self.log,
            stderr=self.log,
            start_new_session=True,
        )

    def request(
        self, path: str, method: str = "GET", body: object = None, **headers: str
    ) -> tuple[http.client.HTTPResponse, str]:
        """Ask over HTTPS."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        address = ("localhost", self.https_port)
        connection = http.client.HTTPSConnection(*address, context=context, timeout=10)
        data = None if body is None else json.dumps(body)
        kind = {"Content-Type": "application/json"} if data else {}
        connection.request(method, path, data, self.headers | kind | headers)
        response = connection.getresponse()
        text = response.read().decode()
        connection.close()
        return response, text

    def wait(self, path: str, seconds: float = 20) -> None:
        """Wait until it says 200."""
        end = time.monotonic() + seconds
        while True:
            try:
                if self.request(path)[0].status == 200:
                    return
            except OSError:
                pass
            assert self.process.poll() is None, self.told()
            assert time.monotonic() < end, self.told()
            time.sleep(0.1)

    def told(self) -> str:
        """Read what it said."""
        self.log.seek(0)
        return self.log.read()

    def stop(self) -> None:
        """Stop all of it, and let nothing survive."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            raise
        finally:
            self.log.close()


def free_ports() -> tuple[int, int, int]:
    """Find three ports that nobody uses."""
    with ExitStack() as stack:
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        http_port, https_port, app_port = (server.getsockname()[1] for server in servers)
        return http_port, https_port, app_port


@pytest.fixture(
    scope="module",
    params=[("caddy", "gunicorn", "/api/v1"), ("caddy", "uvicorn", ""), ("traefik", "uvicorn", "/api/v1")],
    ids=["caddy-gunicorn-prefix", "caddy-uvicorn", "traefik-uvicorn-prefix"],
)
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Start a project with each of the servers, one of them under a path prefix."""
    proxy, server, prefix = request.param
    answers = {"https_proxy": proxy, "app_server": server, "path_prefix": prefix, "domain": "localhost"}
    project = bake_into(tmp_path_factory.mktemp("d") / "p", **answers)
    ports = free_ports()
    env = (project / ".env").read_text()
    for line, port in zip(("HTTP_PORT=80", "HTTPS_PORT=443", "APP_PORT=8000"), ports, strict=True):
        env = env.replace(line, f"{line.partition('=')[0]}={port}")
    (project / ".env").write_text(env)
    (project / ".venv").symlink_to(sys.prefix)
    deployment = Deployment(project, proxy, ports[:2])
    try:
        deployment.wait(f"{prefix}/health/ready")
        yield deployment
    finally:
        deployment.stop()


def test_serves_under_its_prefix(deployment: Deployment) -> None:
    """Links, redirects and documentation are right where the world sees them."""
    prefix = deployment.env["PATH_PREFIX"]
    root = f"https://localhost:{deployment.https_port}{prefix}"
    created, text = deployment.request(f"{prefix}/notes", "POST", {"text": "hello"})
    assert created.status == 201
    assert created.headers["Location"] == f"{root}/notes/{json.loads(text)['id']}"
    assert deployment.request(f"{prefix}/notes/{json.loads(text)['id']}")[1] == text
    assert deployment.request(f"{prefix}/notes/")[0].headers["Location"] == f"{root}/notes"
    assert f"'{prefix}/openapi.json'" in deployment.request(f"{prefix}/docs")[1]
    if prefix:
        assert deployment.request("/health/live")[0].status == 404


def test_foreign_names_and_metrics_are_refused(deployment: Deployment) -> None:
    """Neither another host's name nor the metrics are for the public."""
    prefix = deployment.env["PATH_PREFIX"]
    refused = deployment.request(f"{prefix}/health/live", Host="evil.example")[0]
    assert refused.status == (404 if deployment.proxy == "traefik" else 421)
    for path in (f"{prefix}/metrics", f"{prefix}/metrics/", f"{prefix}//metrics", f"{prefix}/%6detrics"):
        response, text = deployment.request(path)
        assert response.status == 404
        assert "http_requests_total" not in text


def test_plain_http_leads_to_https(deployment: Deployment) -> None:
    """For this domain only."""
    codes = (301, 404) if deployment.proxy == "traefik" else (308, 421)
    for host, status in zip(("localhost", "evil.example"), codes, strict=True):
        connection = http.client.HTTPConnection("127.0.0.1", deployment.http_port, timeout=10)
        connection.request("GET", "/a/b?c=d", headers={"Host": host})
        response = connection.getresponse()
        assert response.status == status
        assert response.headers["Location"] == ("https://localhost/a/b?c=d" if host == "localhost" else None)
        connection.close()


def test_as_many_workers_as_asked_for(deployment: Deployment) -> None:
    """Uvicorn reads WEB_CONCURRENCY too: two of its processes would become four workers."""
    log = deployment.project / "var" / "log" / "app.log"
    end = time.monotonic() + 10
    while log.read_text().count('"worker started"') < 2 and time.monotonic() < end:
        time.sleep(0.1)
    if port := deployment.env.get("APP_PORT"):
        connection = socket.create_connection(("127.0.0.1", int(port)))
    else:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(deployment.project / "var" / "run" / "app.sock"))
    connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n")
    with connection, connection.makefile() as answer:
        workers = set(re.findall(r'process_cpu_seconds_total\{pid="(\d+)"\}', answer.read()))
    assert len(workers) == int(deployment.env["WEB_CONCURRENCY"]) == 2


def test_is_started_once(deployment: Deployment) -> None:
    """A second start says so, and disturbs nothing."""
    again = subprocess.run(
        [deployment.project / "deploy" / "start"],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert again.returncode == 1
    assert again.stderr.startswith("deploy/start: already running")
    assert len(again.stderr.splitlines()) == 1
    assert list((deployment.project / "var" / "metrics").iterdir())


def test_only_its_user_reaches_what_it_wrote(deployment: Deployment) -> None:
    """Sockets, database, keys and logs are closed to everybody else."""
    for path in (deployment.project / "var", *(deployment.project / "var").rglob("*")):
        assert path.stat().st_mode & 0o077 == 0, path


def test_writes_only_where_git_does_not_look(deployment: Deployment) -> None:
    """A running deployment leaves the checkout as it was."""
    project = deployment.project
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    listed = subprocess.run(
        ["git", "ls-files", "--others", "--exclude-standard", "--directory"],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    )
    made = {
        ".env.example",
        ".gitattributes",
        ".github/",
        ".gitignore",
        "README.md",
        "alembic.ini",
        "deploy/",
        "migrations/",
    }
    assert set(listed.stdout.split()) - {".venv"} == made | {"pyproject.toml", "src/", "tests/"}


@pytest.mark.parametrize(
    ("line", "value", "told"),
    [
        ("API_TOKEN", None, "API_TOKEN is missing"),
        ("API_TOKEN", "change-me", "API_TOKEN is wrong"),
        ("DATABASE_URL", "garbage", "DATABASE_URL is wrong"),
        ("WEB_CONCURRENCY", "many", "WEB_CONCURRENCY is wrong"),
    ],
)
def test_bad_value_stops_the_start(tmp_path: Path, line: str, value: str | None, told: str) -> None:
    """It ends at once with one line, and nothing was started."""
    project = bake_into(tmp_path / "p")
    (project / ".venv").symlink_to(sys.prefix)
    env = project / ".env"
    replaced = "" if value is None else f"{line}={value}"
    env.write_text(re.sub(rf"^{line}=.*$", replaced, env.read_text(), flags=re.MULTILINE))
    done = refused_start(project)
    assert done.returncode == 1
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1
    assert not (project / "var" / "run" / "supervisord.pid").exists()


def test_database_is_waited_for_but_not_for_ever(tmp_path: Path) -> None:
    """It says at once what it waits for, and when the time is over that it was in vain."""
    project = bake_into(tmp_path / "p")
    (project / ".venv").symlink_to(sys.prefix)
    migrations = project / "migrations" / "env.py"
    migrations.write_text(migrations.read_text().replace("PATIENCE_S = 60", "PATIENCE_S = 1"))
    env = project / ".env"
    url = "sqlite+aiosqlite:////no/such/folder/x.db"
    env.write_text(re.sub(r"^DATABASE_URL=.*$", f"DATABASE_URL={url}", env.read_text(), flags=re.MULTILINE))
    done = refused_start(project)
    assert done.returncode == 1
    assert done.stdout.count(f"waiting 1 s for DATABASE_URL {url}: unable to open database file") == 1
    assert done.stderr.splitlines() == [f"DATABASE_URL {url} cannot be opened: unable to open database file"]


def refused_start(project: Path) -> subprocess.CompletedProcess[str]:
    """Run the start command of a project that must not start."""
    return subprocess.run(
        [project / "deploy" / "start"],
        cwd="/",
        env={},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
