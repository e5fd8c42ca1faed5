"""Projects that Compose runs, on a real engine: some by default, all with ``--containers``."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import compose
import compose_certbot
import compose_postgresql
import compose_traefik
import container_engine
import pytest
from container_engine import Daemon
from harness import PACKAGE_OF, PROGRAMS_OF, Sabotage, Verdict, VerdictOf, bake, copy_of, run_deploycheck
from images import BASE_IMAGE, size_of_wheels

from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox import compose_plugin
from pytest_deploycheck.sandbox.engine import COMPOSE, Engine
from pytest_deploycheck.sandbox.ports import Ports
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH
from pytest_deploycheck.stacks.compose.containers import Containers

pytestmark = pytest.mark.slow

ALWAYS = {"BOOT002", "REP001"}
DAILY = {
    "a health check that cannot fail",
    "traefik: the app at each address of the machine",
    "nginx: nobody looks for a new certificate",
}
# A worker and a server die, memory runs out, requests are in flight at the stop, an app is not healthy, a release is
# brought under load, and one of the containers migrates.
BLOWS = {"RST001", "RST002", "RST008", "RST009", "RST011", "MEM002", "PRE002"}
# What these checks look at is not here: SQLite has no connections, the engine writes the logs.
ELSEWHERE = {"sqlite": {"REP007", "RES007"}, "postgresql": {"RES007"}}
# Each answer is seen, not each pair of them.
UNBROKEN = [
    ("caddy", "gunicorn", "sqlite"),
    ("caddy", "uvicorn", "sqlite"),
    ("caddy", "gunicorn", "postgresql"),
    ("traefik", "gunicorn", "sqlite"),
    ("traefik", "uvicorn", "postgresql"),
    ("nginx", "gunicorn", "sqlite"),
    ("nginx", "uvicorn", "postgresql"),
    ("haproxy", "gunicorn", "postgresql"),
    ("haproxy", "uvicorn", "sqlite"),
]
RECORDS = [
    *compose.SABOTAGES,
    *compose_certbot.SABOTAGES,
    *compose_postgresql.SABOTAGES,
    *compose_traefik.SABOTAGES,
]
# Of the base image and the installed packages together, an image may take so much.
LARGEST = 1.3


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    """An engine of its own, with images that stand for those of a registry."""
    if lack := container_engine.missing():
        pytest.skip(lack)
    with container_engine.daemon() as found:
        yield found


@pytest.fixture(scope="module")
def engine(daemon: Daemon) -> Engine:
    """What that engine says."""
    return daemon.engine


@pytest.fixture(scope="module")
def project_with(engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Generate a project with some answers, once, whose images can be built without a registry."""

    @functools.cache
    def make(**answers: str) -> Path:
        for program in PROGRAMS_OF.get(answers.get("https_proxy", ""), ()):
            if not shutil.which(program, path=SYSTEM_PATH):  # an image is made of it
                pytest.skip(f"apt-get install {PACKAGE_OF.get(program, program)}")
        made = bake(tmp_path_factory.mktemp("baked"), process_manager="compose", **answers)
        container_engine.use_images(made)
        assert not engine.containers(made.name)
        return made

    return make


def docker(*arguments: str) -> str:
    """Return what a command of Docker prints."""
    done = subprocess.run(["docker", *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def test_the_image_has_little_but_its_base_and_the_packages(
    project_with: Callable[..., Path], tmp_path: Path
) -> None:
    """What only the installation needs is not in it; with a second copy of the packages it would be too large."""
    project = copy_of(project_with(app_server="gunicorn"), tmp_path / "notes_api")
    size, most = _size_and_bound(project)
    assert size <= most
    with (project / "Dockerfile").open("a", encoding="utf-8") as file:
        file.write("COPY --from=build /app/.venv copy\n")
    size, most = _size_and_bound(project)
    assert size > most


def _size_and_bound(project: Path) -> tuple[int, float]:
    """Build its image; return how large it is, and how large it may be, in bytes, both without the tests' wheels."""
    docker("build", "--quiet", "--tag=app", f"--build-arg=BASE_IMAGE={BASE_IMAGE}", str(project))
    packages = int(docker("run", "--rm", "--network=none", "app", "du", "-sb", "/app/.venv").split()[0])
    size, base = (
        int(docker("image", "inspect", "--format={{.Size}}", name)) - size_of_wheels()
        for name in ("app", BASE_IMAGE)
    )
    print(f"{size} bytes: {base} of the base, {packages} of the packages")
    return size, LARGEST * (base + packages)


@pytest.mark.parametrize(
    ("proxy", "database"),
    [
        ("caddy", "sqlite"),
        ("caddy", "postgresql"),
        ("traefik", "sqlite"),
        ("nginx", "sqlite"),
        ("haproxy", "sqlite"),
    ],
)
def test_it_serves_with_volumes_and_users_of_its_own(
    proxy: str,
    database: str,
    daemon: Daemon,
    project_with: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    """Copies have folders as volumes, and one user for all. As in production, each service can write where it must.

    The engine shows no secret to those who may ask it. A release that does not become healthy, or is interrupted,
    ``deploy/reload`` takes back. An engine that is stopped and started, as with its machine, brings all back, and
    nobody types anything (BOOT001).
    """
    if not pytestconfig.option.containers:
        pytest.skip("runs with --containers")
    project = copy_of(
        project_with(app_server="gunicorn", https_proxy=proxy, database=database), tmp_path / "own"
    )
    compose_plugin.put_into(tmp_path)
    ports = Ports()
    values = {
        "HOME": tmp_path,
        "DOMAIN": "localhost",
        "DOCKER_BUILDKIT": "0",
        "COMPOSE_DOCKER_CLI_BUILD": "0",
    }
    values |= {name: ports.take() for name in ("HTTP_PORT", "HTTPS_PORT", "APP_PORT", "CERTBOT_PORT")}
    for name, value in values.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.chdir(project)
    try:
        docker("compose", "up", "--build", "--detach")
        app = docker("compose", "ps", "--quiet", "app")
        health = wait_for(
            lambda: docker("inspect", "--format={{.State.Health.Status}}", app),
            lambda status: status == "healthy",
            deadline_s=60,
            every_s=0.5,
        )
        assert health == "healthy", docker("compose", "logs", "--tail=20")
        shown = docker("inspect", *docker("compose", "ps", "--quiet").split())
        secrets = [file.read_text(encoding="ascii") for file in Path(".secrets").iterdir()]
        assert secrets
        assert not any(secret in shown for secret in secrets)
        _bring_bad_release(project)
        assert docker("compose", "ps", "--quiet", "app") == app
        assert all(serves() for _ in range(8))
        daemon.stop()
        assert not serves()
        daemon.start()
        assert wait_for(serves, bool, deadline_s=60), docker("compose", "ps", "--all")
    finally:
        docker("compose", "down", "--volumes", "--timeout=5")
        ports.close()


def serves() -> bool:
    """Tell whether the project is ready that was started with this environment."""
    url = f"https://localhost:{os.environ['HTTPS_PORT']}/health/ready"
    return subprocess.run(["curl", "-skf", url], check=False, capture_output=True).returncode == 0


def _bring_bad_release(project: Path) -> None:
    """Bring a release that is never ready, until it is taken back; and once more, but for an interruption."""
    route, reload = project / "src/notes_api/health.py", project / "deploy/reload"
    ready = 'return {"status": "ready"}'
    text = route.read_text(encoding="utf-8")
    assert ready in text
    route.write_text(text.replace(ready, "raise RuntimeError"), encoding="utf-8")
    script = reload.read_text(encoding="utf-8")
    reload.write_text(script.replace("tries=300", "tries=40"), encoding="utf-8")
    done = subprocess.run([reload], check=False, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert "does not become healthy" in done.stderr
    interrupted = subprocess.Popen([reload])
    both = wait_for(
        lambda: docker("compose", "ps", "--quiet", "app").split(),
        lambda found: len(found) == 2,
        deadline_s=60,
    )
    assert len(both) == 2
    interrupted.terminate()
    assert interrupted.wait(timeout=60) == 1


def run(project: Path, record: Sabotage, target: Path) -> Verdict:
    """Change a copy, and run the checks that must catch it, or that look at it, and two that must not."""
    copy = copy_of(project, target)
    record.apply(copy)
    selected = sorted(ALWAYS.union(record.caught_by, record.touches))
    return run_deploycheck(copy, f"--deploycheck-select={','.join(selected)}")


@pytest.mark.parametrize(("proxy", "server", "database"), UNBROKEN)
def test_unbroken_containers_pass_everything(
    proxy: str,
    server: str,
    database: str,
    project_with: Callable[..., Path],
    tmp_path: Path,
    pytestconfig: pytest.Config,
) -> None:
    """All checks pass, but for those that have nothing to look at."""
    if not pytestconfig.option.containers:
        pytest.skip("runs with --containers")
    project = project_with(https_proxy=proxy, app_server=server, database=database)
    verdict = run_deploycheck(copy_of(project, tmp_path / "notes_api"))
    assert not verdict.caught | verdict.ids("blocked"), verdict.explain()
    assert verdict.ids("not_verified") | verdict.ids("not_applicable") == ELSEWHERE[database], (
        verdict.explain()
    )


def test_unbroken_containers_bear_blows(
    project_with: Callable[..., Path], tmp_path: Path, verdict_of: VerdictOf
) -> None:
    """What the template promises of containers above all, also where there is no time for all checks."""
    project = copy_of(project_with(app_server="gunicorn"), tmp_path / "notes_api")
    verdict = verdict_of(
        lambda: run_deploycheck(project, f"--deploycheck-select={','.join(sorted(BLOWS))}"),
        lambda verdict: verdict.ids("passed") >= BLOWS,
    )
    assert verdict.ids("passed") >= BLOWS, verdict.explain()


def test_an_engine_forgets_at_its_start_what_is_said_of_it(
    daemon: Daemon, project_with: Callable[..., Path]
) -> None:
    """BOOT001 reads restart policies. What they mean is seen here: the engine is stopped in order and started again."""
    project_with(app_server="gunicorn")  # for its base image
    policies = ("no", "on-failure", "unless-stopped", "always")
    # As servers do, it ends with 0 when it is told to.
    patient = ("sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait")
    found = Containers(engine=daemon.engine, project="patient", app="always", proxy="no")
    for policy in policies:
        labels = (f"--label={COMPOSE.project}=patient", f"--label={COMPOSE.service}={policy}")
        docker("run", "--detach", "--network=none", f"--restart={policy}", *labels, BASE_IMAGE, *patient)
    try:
        said = found.forgotten()
        daemon.stop()
        daemon.start()
        running = wait_for(
            lambda: {one.service for one in found.of() if one.status == "running"},
            lambda services: len(services) == len(policies) - len(said),
            deadline_s=20,
        )
        assert sorted(said) == ["no (restart: no)", "on-failure (restart: on-failure)"]
        assert running == {"unless-stopped", "always"}
    finally:
        docker("rm", "--force", *(one.identity for one in found.of()))


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.id)
def test_changed_containers_are_caught_by_exactly(
    record: Sabotage, project_with: Callable[..., Path], tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """A broken Compose file or image makes exactly the named checks fail, a right one none."""
    if record.id not in DAILY and not pytestconfig.option.containers:
        pytest.skip("runs with --containers")
    project = project_with(app_server=record.server, **dict(record.answers))
    verdict = run(project, record, tmp_path / "notes_api")
    assert verdict.caught == record.caught_by, verdict.explain()
    # What does not start at all blocks what looks at it.
    may_pass = set() if "BOOT002" in record.caught_by else ALWAYS
    assert verdict.ids("passed") >= may_pass - record.caught_by, verdict.explain()
