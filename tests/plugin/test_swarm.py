"""Projects that a swarm runs, on a real engine; only with ``--containers``, for it takes minutes."""

from __future__ import annotations

import functools
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import container_engine
import pytest
from container_engine import Daemon
from harness import Change, Sabotage, bake, copy_of, run_deploycheck, sabotage
from test_containers import ELSEWHERE, run, serves

from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.engine import SWARM, Engine
from pytest_deploycheck.sandbox.ports import Ports
from pytest_deploycheck.stacks.swarm.tasks import Tasks

FILE = "deploy/swarm.yaml"
RESTART = "restart_policy: {condition: any, delay: 2s}"
SERVER = "exec gunicorn -c"
COMMAND = "command: [deploy/serve]"
HEALTHCHECK = "test: [CMD, /app/.venv/bin/python, deploy/health.py, task]"
LIMIT = 'limits: {memory: "${MEMORY_LIMIT_MB}M", pids: 200}'
UVICORN = "deploy/server.py"
# A release that is never ready: a minute, after that the grace of its server; and some time for the engine.
RELOAD_S = 180
# Each answer is seen, not each pair of them.
UNBROKEN = [
    ("caddy", "gunicorn", "sqlite"),
    ("nginx", "uvicorn", "sqlite"),
    ("haproxy", "gunicorn", "postgresql"),
]
RECORDS = [
    sabotage(
        "swarm: no restart", FILE, RESTART, "restart_policy: {condition: none}", "BOOT001", "RST002", "RST003"
    ),
    sabotage(
        "swarm: restart after a failure only",
        FILE,
        RESTART,
        RESTART.replace("any", "on-failure"),
        "RST003",
    ),
    sabotage(
        "swarm: the old release goes first",
        FILE,
        "order: start-first, f",
        "order: stop-first, f",
        "RST009",
        answers=(("workers", "1"),),
    ),
    sabotage(
        "swarm: one second to stop",
        FILE,
        "stop_grace_period: 35s\n    # A conn",
        "stop_grace_period: 1s\n    # A conn",
        "RST008",
    ),
    sabotage(
        "swarm: a start has no time",
        FILE,
        "start_period: 24h\n      retries: 6",
        "start_period: 1s\n      retries: 2",
        "PRE009",
    ),
    sabotage("swarm: logs without a limit", FILE, '\n  options: {max-size: 5m, max-file: "6"}', "", "RES005"),
    sabotage("swarm: a shell stays before the server", "deploy/serve", SERVER, "gunicorn -c", "RST008"),
    sabotage(
        "swarm: the shell form of the command",
        FILE,
        COMMAND,
        'command: [sh, -c, "deploy/serve || exit 1"]',
        "RST007",
        "RST008",
    ),
    sabotage(
        "swarm: no health check but one that cannot fail",
        FILE,
        HEALTHCHECK,
        'test: [CMD, "true"]',
        "RST011",
        more=(Change(file="pyproject.toml", old="health_check = ", new="# health_check = "),),
    ),
    sabotage(
        "swarm: a health check that cannot fail, beside one for monitoring",
        FILE,
        HEALTHCHECK,
        'test: [CMD, "true"]',
        "RST011",
    ),
    # Where the steps are quick, updates come to no harm.
    sabotage(
        "swarm: a health check that cannot fail, and steps that take long",
        FILE,
        HEALTHCHECK,
        'test: [CMD, "true"]',
        "RST009",
        "RST011",
        more=(Change(file="deploy/previous-steps", old="exec python", new="sleep 30\nexec python"),),
        answers=(("workers", "1"),),
    ),
    sabotage(
        "swarm: no limit, and a guard that looks away",
        FILE,
        LIMIT,
        "limits: {pids: 200}",
        "MEM002",
        more=(Change(file="deploy/guard.py", old="if total > LIMIT_MB:", new="if total > 99 * LIMIT_MB:"),),
    ),
    # With one worker, what is too little for the server is too little for the previous steps too.
    sabotage(
        "swarm: a limit that is too small",
        FILE,
        LIMIT,
        "limits: {memory: 130M, pids: 200}",
        "MEM001",
        more=(
            Change(file=".env", old="REPLICAS=2", new="REPLICAS=1"),
            Change(file=".env", old="WEB_CONCURRENCY=1", new="WEB_CONCURRENCY=2"),
        ),
    ),
    sabotage(
        "swarm: the app at a port of the machine",
        FILE,
        f"{COMMAND}\n    networks: [nobody]",
        f"{COMMAND}\n    networks: [machine]",
        "TLS007",
        answers=(("workers", "1"),),
        more=(
            Change(
                file="deploy/gunicorn.conf.py",
                old='bind = f"unix:var/run/{socket.gethostname()}.sock"',
                new='bind = [f"unix:var/run/{socket.gethostname()}.sock", "0.0.0.0:8000"]',
            ),
        ),
    ),
    # The engine of these tests has no routing mesh, so nobody is let in; but it says that it would.
    sabotage(
        "swarm: a port of the routing mesh",
        FILE,
        f"{COMMAND}\n    networks: [nobody]",
        f'{COMMAND}\n    networks: [nobody]\n    ports: ["18765:8000"]',
        "TLS007",
        answers=(("workers", "1"),),
    ),
    sabotage(
        "swarm: three tasks where two are promised",
        FILE,
        "replicas: ${REPLICAS}",
        "replicas: 3",
        "PRE002",
    ),
    sabotage(
        "swarm: one worker of Uvicorn more",
        UVICORN,
        'int(os.environ["WEB_CONCURRENCY"]):',
        'int(os.environ["WEB_CONCURRENCY"]) + 1:',
        "REP001",
        server="uvicorn",
    ),
    sabotage(
        "swarm: nobody looks for a new certificate",
        "deploy/prepare-proxy",
        "cmp -s - /tmp/served || deploy/reload-proxy ||",
        "cmp -s - /tmp/served ||",
        "TLS010",
        answers=(("https_proxy", "nginx"),),
    ),
    sabotage(
        "swarm: renewal hook restarts the container",
        "pyproject.toml",
        "deploy/containers proxy exec {} deploy/reload-proxy",
        "deploy/containers proxy restart {}",
        "TLS009",
        answers=(("https_proxy", "haproxy"),),
    ),
]


def left_in(engine: Engine) -> list[str]:
    """Return what the engine still has of any stack."""
    of_a_stack = f"--filter label={SWARM.project}"
    listings = (
        "service ls",
        f"ps --all {of_a_stack}",
        f"network ls {of_a_stack}",
        f"secret ls {of_a_stack}",
        f"config ls {of_a_stack}",
        f"volume ls {of_a_stack}",
        "images deploycheck/*",
    )
    found = []
    for listing in listings:
        command = ["docker", "--host", engine.address, *listing.split(), "--quiet"]
        found += subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    return found


@pytest.fixture(scope="module")
def daemon(pytestconfig: pytest.Config) -> Iterator[Daemon]:
    """An engine of its own that manages a swarm, with images that stand for those of a registry."""
    if not pytestconfig.option.containers:
        pytest.skip("runs with --containers")
    if lack := container_engine.missing() or container_engine.other_swarm():
        pytest.skip(lack)
    with container_engine.daemon() as found, container_engine.swarm(found.engine):
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
        made = bake(tmp_path_factory.mktemp("baked"), process_manager="swarm", **answers)
        container_engine.use_images(made)
        assert not engine.containers(made.name, SWARM)
        return made

    return make


@pytest.mark.slow
def test_engine_is_not_changed_silently(
    project_with: Callable[..., Path], engine: Engine, tmp_path: Path
) -> None:
    """Where the engine manages no swarm, the checks say how to get one, and make none."""
    copy = copy_of(project_with(app_server="gunicorn"), tmp_path / "notes_api")
    with container_engine.engine() as other:
        verdict = run_deploycheck(copy, "--deploycheck-select=BOOT002")
        assert not other.is_manager
    assert engine.is_manager
    assert verdict.ids("not_verified") == {"BOOT002"}, verdict.explain()
    assert "docker swarm init" in verdict.explain()


class Deployed:
    """A project that its own ``deploy/reload`` deploys as a stack of the swarm; ``docker`` finds all by variables."""

    def __init__(self, project: Path, engine: Engine) -> None:
        """Deploy nothing yet."""
        self.project = project
        self.tasks = Tasks(engine=engine, project="again", app="app", proxy="proxy")

    def reload(self) -> subprocess.CompletedProcess[str]:
        """Bring what the project holds; return what the command says, which must end."""
        return subprocess.run(
            [self.project / "deploy/reload"], check=False, capture_output=True, text=True, timeout=RELOAD_S
        )

    def update(self) -> str:
        """Return how far the update of the app has come."""
        state = "{{with .UpdateStatus}}{{.State}}{{end}}"
        command = ["docker", "service", "inspect", f"--format={state}", "again_app"]
        return subprocess.run(command, check=False, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def deployed(
    daemon: Daemon, project_with: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployed]:
    """A project with ports of its own, of which nothing is left afterwards."""
    ports = Ports()
    values = {"HOME": tmp_path, "DOMAIN": "localhost", "DOCKER_BUILDKIT": "0", "STACK": "again"}
    for name, value in {**values, "HTTP_PORT": ports.take(), "HTTPS_PORT": ports.take()}.items():
        monkeypatch.setenv(name, str(value))
    found = Deployed(copy_of(project_with(app_server="gunicorn"), tmp_path / "notes_api"), daemon.engine)
    try:
        yield found
    finally:
        found.tasks.end("app", "proxy")
        subprocess.run(["docker", "stack", "rm", "again"], check=False)
        for kind in ("container", "network", "volume"):
            _remove(kind)
        ports.close()


def _remove(kind: str) -> None:
    """Remove what the stack has left in the engine, which may not let it go at once."""
    listing = ["docker", kind, "ls", "--quiet", f"--filter=label={SWARM.project}=again"]
    listing += ["--all"] if kind == "container" else []

    def remove() -> bool:
        found = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()
        return not found or subprocess.run(["docker", kind, "rm", *found], check=False).returncode == 0

    assert wait_for(remove, bool, deadline_s=30, every_s=0.5), kind


@pytest.mark.slow
def test_an_engine_that_starts_again_brings_back_what_is_said_of_it(
    daemon: Daemon, deployed: Deployed
) -> None:
    """BOOT001 reads restart conditions. What they mean is seen here: the engine is stopped and started again."""
    tasks = deployed.tasks

    def start_again() -> None:
        daemon.stop()
        assert not serves()
        daemon.start()

    done = deployed.reload()
    assert done.returncode == 0, done.stderr
    assert wait_for(serves, bool, deadline_s=60), tasks.describe()
    assert tasks.forgotten() == []
    start_again()
    assert wait_for(serves, bool, deadline_s=60), tasks.describe()
    subprocess.run(
        ["docker", "service", "update", "--quiet", "--restart-condition=none", "again_proxy"], check=True
    )
    assert tasks.forgotten() == ["proxy (restart: none)"]
    start_again()
    app = wait_for(
        lambda: tasks.live("app"),
        lambda found: found and all(one.health == "healthy" for one in found),
        deadline_s=60,
    )
    assert app, tasks.describe()
    assert not tasks.live("proxy")


@pytest.mark.slow
def test_a_release_that_is_never_ready_is_taken_back(deployed: Deployed) -> None:
    """The old one serves all the while, and ``deploy/reload`` ends; so it does when the update is interrupted."""
    assert deployed.reload().returncode == 0
    assert wait_for(serves, bool, deadline_s=60), deployed.tasks.describe()
    old = {one.identity for one in deployed.tasks.live("app")}
    answers, stop = list[bool](), threading.Event()

    def ask() -> None:
        while not stop.wait(0.2):
            answers.append(serves())

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        _spoil(deployed.project)
        done = deployed.reload()
        assert done.returncode == 1
        assert "does not become healthy (rollback" in done.stderr
        assert wait_for(deployed.update, lambda state: state == "rollback_completed", deadline_s=60)
        with subprocess.Popen([deployed.project / "deploy/reload"]) as interrupted:
            assert wait_for(
                lambda: len(deployed.tasks.live("app")), lambda tasks: tasks > len(old), deadline_s=60
            )
            interrupted.terminate()
            assert interrupted.wait(timeout=60) == 1
        assert wait_for(deployed.update, lambda state: state == "rollback_completed", deadline_s=60)
        live = wait_for(
            lambda: {one.identity for one in deployed.tasks.live("app")},
            lambda found: found == old,
            deadline_s=60,
        )
        assert live == old
    finally:
        stop.set()
        asking.join()
    assert all(answers), f"{answers.count(False)} of {len(answers)} requests failed"


@pytest.mark.slow
def test_a_first_release_that_fails_ends_the_script(deployed: Deployed) -> None:
    """There is nothing to go back to; the command says what the tasks are at, and a good release mends it."""
    steps = deployed.project / "deploy/previous-steps"
    good = steps.read_text(encoding="utf-8")
    steps.write_text(good.replace("exec python", "exit 1\nexec python"), encoding="utf-8")
    done = deployed.reload()
    assert done.returncode == 1
    assert "does not become healthy" in done.stderr
    assert "non-zero exit (1)" in done.stderr
    steps.write_text(good, encoding="utf-8")
    done = deployed.reload()
    assert done.returncode == 0, done.stderr
    assert wait_for(serves, bool, deadline_s=60), deployed.tasks.describe()


@pytest.mark.slow
def test_what_cannot_be_deployed_is_said_before_anything_is_built(
    deployed: Deployed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A message for each, and no image is left."""
    file = deployed.project / ".env"
    file.rename(file.with_name("env"))
    done = deployed.reload()
    assert (done.returncode, done.stderr) == (
        1,
        "deploy/reload: .env is missing: copy .env.example to .env and fill it in\n",
    )
    file.with_name("env").rename(file)
    monkeypatch.setenv("REPLICAS", "0")
    done = deployed.reload()
    assert (done.returncode, done.stderr) == (
        1,
        'deploy/reload: REPLICAS in .env: "0" is no number from 1 to 12\n',
    )
    monkeypatch.delenv("REPLICAS")
    with container_engine.engine() as other:
        done = deployed.reload()
        assert (done.returncode, done.stderr) == (
            1,
            "deploy/reload: the engine manages no swarm: docker swarm init\n",
        )
        images = ["docker", "--host", other.address, "images", "--all", "--quiet"]
        assert not subprocess.run(images, check=True, capture_output=True).stdout


def _spoil(project: Path) -> None:
    """Let what the project holds never be ready."""
    route, ready = project / "src/notes_api/health.py", 'return {"status": "ready"}'
    text = route.read_text(encoding="utf-8")
    assert ready in text
    route.write_text(text.replace(ready, "raise RuntimeError"), encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize(("proxy", "server", "database"), UNBROKEN)
def test_unbroken_stack_passes_everything(
    proxy: str,
    server: str,
    database: str,
    project_with: Callable[..., Path],
    engine: Engine,
    tmp_path: Path,
) -> None:
    """All checks pass, but for those that have nothing to look at; nothing is left in the engine."""
    made = project_with(https_proxy=proxy, app_server=server, database=database)
    verdict = run_deploycheck(copy_of(made, tmp_path / "notes_api"))
    assert not verdict.caught | verdict.ids("blocked"), verdict.explain()
    assert verdict.ids("not_verified") | verdict.ids("not_applicable") == ELSEWHERE[database], (
        verdict.explain()
    )
    assert not left_in(engine)


@pytest.mark.slow
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.id)
def test_broken_stack_is_caught_by_exactly(
    record: Sabotage, project_with: Callable[..., Path], tmp_path: Path
) -> None:
    """A broken stack file makes exactly the named checks fail."""
    verdict = run(
        project_with(app_server=record.server, **dict(record.answers)), record, tmp_path / "notes_api"
    )
    assert verdict.caught == record.caught_by, verdict.explain()
