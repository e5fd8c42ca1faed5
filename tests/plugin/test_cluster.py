"""Projects in a cluster: the option, whose errors need none, and, with ``--cluster``, the checks on a real one."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cluster as test_cluster
import container_engine
import pytest
from harness import Change, Sabotage, Verdict, bake, copy_of, pytest_in, run_deploycheck, sabotage
from images import make_images
from kubernetes import BODIES, LIMITS, NOT_READY
from memory import GUARD, KEEP, METHODS, OBSERVATION, RECORD, SHARE
from replication import LIFESPAN
from resources import FIND, METRICS, NOTES

from pytest_deploycheck.config import ConfigError
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.reader import load
from pytest_deploycheck.stacks.kubernetes import with_cluster
from pytest_deploycheck.stacks.kubernetes.cluster import objects
from pytest_deploycheck.stacks.kubernetes.cluster.crowd import CrowdOfPod
from pytest_deploycheck.stacks.kubernetes.cluster.inside import line
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, render

DEPLOYMENT = "deploy/kubernetes/base/deployment.yaml"
CONTEXT = f"--deploycheck-cluster={test_cluster.CONTEXT}"
IMAGE = "deploycheck-tests/notes-api:1"
IN_CLUSTER = (
    "TLS013,TLS014,BOOT002,BOOT007,RST002,RST003,RST005,RST007,RST008,RST009,RST010,RST011,REP001,REP003,REP005,REP006,"
    "MEM001,MEM002,MEM003,MEM005,MEM006,PRE002,RES001,RES002,RES003,RES004,RES006"
)
RECORDS = [
    sabotage(
        "cluster: readiness never goes red",
        "src/notes_api/health.py",
        NOT_READY,
        "",
        "BOOT007",
        "RST011",
        touches=("BOOT007", "RST007", "RST011"),
    ),
    sabotage("cluster: no limit of memory", DEPLOYMENT, LIMITS, "", "MEM002", touches=("MEM002", "RST002")),
    sabotage(
        "cluster: all pods go before a new one comes",
        DEPLOYMENT,
        "    type: RollingUpdate\n    rollingUpdate:\n      maxUnavailable: 0\n      maxSurge: 25%\n",
        "    type: Recreate\n",
        "RST009",
        touches=("RST003", "RST009"),
    ),
    sabotage(
        "cluster: each worker does one-off work",
        "src/notes_api/application.py",
        LIFESPAN,
        f"{LIFESPAN}    maintenance.maintain(app.state.settings.database_url)\n",
        "REP005",
        touches=("REP001", "REP005"),
        more=(
            Change(
                file="src/notes_api/application.py",
                old="import health, metrics",
                new="import health, maintenance, metrics",
            ),
        ),
    ),
]
APPLICATION, CONFIG = "src/notes_api/application.py", "deploy/kubernetes/base/config.env"
# Where only what the agents see in the pods can tell.
OBSERVED = [
    sabotage(
        "cluster: each worker loads what nearly fills its pod",
        APPLICATION,
        "\ndef create_app(",
        '\nMODEL = b"x" * (385 << 20)\n\n\ndef create_app(',
        "MEM001",
        touches=("MEM001", "REP001"),
    ),
    sabotage(
        "cluster: nobody is recycled",
        GUARD,
        SHARE,
        SHARE.replace("0.7", "7"),
        "MEM003",
        touches=("MEM001", "MEM003"),
    ),
    sabotage(
        "cluster: all pods recycle by the same clock",
        GUARD,
        "biggest.size_mb > SHARE_MB and",
        "time.time() % 5 < 1 and",
        "MEM004",
        touches=("MEM003", "MEM004"),
    ),
    sabotage(
        "cluster: a list grows with each request",
        OBSERVATION,
        METHODS,
        METHODS + "KEPT = []\n",
        "MEM005",
        touches=("MEM001", "MEM005"),
        more=(Change(file=OBSERVATION, old=RECORD, new=KEEP),),
    ),
    sabotage(
        "cluster: nobody says how a worker ended",
        "deploy/server.py",
        "                tell(worker)\n",
        "",
        "MEM006",
        touches=("MEM006", "REP001"),
    ),
    sabotage(
        "cluster: one of the pods blocks while it reads",
        NOTES,
        FIND,
        f"    if IS_SLOW:\n        time.sleep(0.3)\n{FIND}",
        "REP003",
        touches=("REP001", "REP003"),
        more=(
            Change(file=NOTES, old="import hashlib\n", new="import hashlib\nimport socket\nimport time\n"),
            Change(
                file=NOTES,
                old="SEAL_ITERATIONS =",
                # The pods of one stack have addresses in a row.
                new="IS_SLOW = socket.gethostbyname(socket.gethostname())[-1] in '02468'\nSEAL_ITERATIONS =",
            ),
        ),
    ),
    sabotage(
        "cluster: more workers than the pod's quota feeds",
        DEPLOYMENT,
        "            limits:\n",
        "            limits:\n              cpu: 500m\n",
        "REP006",
        touches=("REP001", "REP006"),
        more=(
            Change(file=CONFIG, old="WEB_CONCURRENCY=1", new="WEB_CONCURRENCY=3"),
            Change(file=".env", old="WEB_CONCURRENCY=1", new="WEB_CONCURRENCY=3"),
        ),
    ),
    sabotage(
        "cluster: no memory in the metrics",
        METRICS,
        "        yield memory\n",
        "",
        "RES001",
        touches=("RES001", "REP001"),
    ),
    sabotage(
        "cluster: requests wait for one lock",
        NOTES,
        FIND,
        f"    async with ALONE:\n        await asyncio.sleep(0.2)\n{FIND}",
        "RES002",
        touches=("REP003", "RES002"),
        more=(
            Change(file=NOTES, old="import hashlib\n", new="import asyncio\nimport hashlib\n"),
            Change(file=NOTES, old="SEAL_ITERATIONS =", new="ALONE = asyncio.Lock()\nSEAL_ITERATIONS ="),
        ),
    ),
    sabotage(
        "cluster: the app lowers its limit of open files",
        APPLICATION,
        "\ndef create_app(",
        "\nresource.setrlimit(resource.RLIMIT_NOFILE, (150, 150))\n\n\ndef create_app(",
        "RES004",
        touches=("RES004", "REP001"),
        more=(Change(file=APPLICATION, old="import logging\n", new="import logging\nimport resource\n"),),
    ),
    sabotage(
        "cluster: slow work in the event loop",
        NOTES,
        "\ndef seal(",
        "\nasync def seal(",
        "RES003",
        touches=("RES003", "REP001"),
    ),
    sabotage(
        "cluster: nothing is refused",
        APPLICATION,
        "    app.add_middleware(OverloadMiddleware)\n",
        "",
        "RES006",
        touches=("RES006", "RES003"),
    ),
]
OBSERVED += [
    sabotage(
        "cluster: bodies of any size",
        BODIES,
        "LARGEST_BODY = 4 * 1024 * 1024\n",
        "LARGEST_BODY = 4 * 1024 * 1024 * 1024\n",
        "TLS013",
        touches=("TLS013", "BOOT002"),
    ),
    sabotage(
        "cluster: slow bodies are waited for",
        BODIES,
        "BODY_TIMEOUT = 20.0\n",
        "BODY_TIMEOUT = 3600.0\n",
        "TLS014",
        touches=("TLS013", "TLS014"),
    ),
]
RECORDS += OBSERVED
NAMED = {"contexts": [{"name": "office", "context": {"cluster": "office", "user": "me"}}]}
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "office", "cluster": {"server": "https://127.0.0.1:9"}}],
    "users": [{"name": "me", "user": {"token": "x"}}],
    "current-context": "office",
    **NAMED,
}


@pytest.mark.parametrize(
    ("context", "image", "said"),
    [
        ("home", None, "--deploycheck-cluster home: there is no such context, but office"),
        ("office", None, "--deploycheck-cluster office: the cluster did not answer within"),
        (None, "x", "--deploycheck-cluster-image does nothing without --deploycheck-cluster"),
    ],
    ids=["unknown", "unreachable", "image-alone"],
)
def test_what_is_wrong_with_the_option_is_one_line(
    context: str | None,
    image: str | None,
    said: str,
    baked: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A context that is unknown, or whose cluster does not answer, ends the run before it begins."""
    (tmp_path / "config").write_text(json.dumps(KUBECONFIG), encoding="ascii")
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    settings = load(baked(process_manager="kubernetes", database="postgresql"))
    with pytest.raises(ConfigError) as refused:
        with_cluster(settings, context, image)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_project_without_manifests_has_no_use_for_a_cluster(baked: Callable[..., Path]) -> None:
    """The option is refused, and the setting that would name manifests is named."""
    with pytest.raises(ConfigError, match="manager_config names no folder with a kustomization"):
        with_cluster(load(baked()), "office", None)


def test_line_leads_both_ways_and_tells_who_refuses(tmp_path: Path) -> None:
    """What is sent at one end arrives at the other, both ways; a connection that is refused there ends here."""
    with http_server() as port, contextlib.closing(socket.create_server(("127.0.0.1", 0))) as nobody:
        free, target = nobody.getsockname()[1], tmp_path / "target"
        target.write_text(f"127.0.0.1:{port}", encoding="ascii")
        there = [sys.executable, "-E", "-s", "-S", "-u", line.__file__, "there", f"127.0.0.1:{port}"]
        database = socket.create_server(("127.0.0.1", 0))
        far = database.getsockname()[1]
        database.close()
        nobody.close()
        process = subprocess.Popen(
            [sys.executable, "-I", line.__file__, "here", str(free), str(target), *there, str(far)]
        )
        try:
            assert wait_for(lambda: answer_of(free), bool, deadline_s=20) == b"hello"
            assert answer_of(far) == b"hello"
            target.write_text(f"127.0.0.1:{free + 1}", encoding="ascii")
            assert answer_of(far) == b""
        finally:
            process.kill()
            process.wait()


@contextmanager
def http_server() -> Iterator[int]:
    """Answer each connection with one word."""

    class Hello(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(100)
            self.request.sendall(b"hello")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Hello) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def answer_of(port: int) -> bytes:
    """Return what is answered at a port; nothing where nobody does."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"?")
        return connection.recv(100)
    return b""


class Busy(BaseHTTPRequestHandler):
    """Answers two slow requests at a time, and refuses others."""

    protocol_version = "HTTP/1.1"
    room = threading.Semaphore(2)

    def do_GET(self) -> None:
        """Answer."""
        status, body = 200, b'{"pid": 4711}'
        if self.path == "/slow":
            if has_room := self.room.acquire(blocking=False):
                time.sleep(0.2)
                self.room.release()
            status = 200 if has_room else 503
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_crowd_tells_who_was_served_and_who_was_refused() -> None:
    """Health is asked meanwhile, over new connections and over one that is open already."""

    class Here:
        """The end of the line, where the script runs on this machine."""

        service = ""

        def run(self, script: str, order: dict[str, Any], *, timeout_s: float) -> Any:
            """Run it."""
            words = [sys.executable, "-I", "-S", str(Path(line.__file__).with_name(script))]
            done = subprocess.run(
                words, check=True, input=json.dumps(order).encode(), capture_output=True, timeout=timeout_s
            )
            return json.loads(done.stdout)

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"127.0.0.1:{server.server_address[1]}"
        wire = Here()
        wire.service = address
        requests = SimpleNamespace(live="/live", headers={})
        stack = SimpleNamespace(
            config=SimpleNamespace(domain="x", requests=requests),
            processes=lambda: SimpleNamespace(workers={4711}),
        )
        crowd = CrowdOfPod(stack=stack, wire=wire, pods=lambda: [address])  # type: ignore[arg-type]
        before = time.monotonic()
        seen = crowd("/slow", count=12, timeout_s=20)
        server.shutdown()
    assert len(seen.heavy.answers) == 12
    assert len(seen.served.answers) >= 2
    assert len(seen.refused.answers) >= 6
    assert seen.health.answers
    assert not seen.health.failed
    assert seen.by_worker.keys() == {4711}
    assert before < seen.heavy.answers[0].start < seen.afterwards.end < time.monotonic()


def test_what_works_outside_of_a_namespace_is_not_applied(baked: Callable[..., Path]) -> None:
    """The public objects are left out, each with a reason; what the pods need is there, as the checks apply it."""
    project = baked(process_manager="kubernetes", database="postgresql")
    config = load(project)
    found = Manifests.parsed(config.manager_config, render(project, config.manager_config)[1])
    applied, left = objects.sorted_out(found, config)
    kinds = {str(thing["kind"]) for thing in applied}
    assert kinds == {"ConfigMap", "NetworkPolicy", "PodDisruptionBudget", "Service", "Deployment"}
    told = {text.partition(" ")[0] for text in left}
    assert told == {"Namespace", "Gateway", "HTTPRoute", "Issuer", "HorizontalPodAutoscaler"}
    release = objects.Release(image="mine:1", folder="/app", variables={}, secrets={}, replicas=3)
    made = objects.changed(found.app, found, release, {"src/a.py": "x = 1"})
    assert made["spec"]["replicas"] == 3
    containers = made["spec"]["template"]["spec"]["containers"]
    assert [container["image"] for container in containers] == ["mine:1"]
    assert {"name": objects.FILES_NAME, "mountPath": "/app/src/a.py", "subPath": "file-0"} in containers[0][
        "volumeMounts"
    ]
    assert "namespace" not in made["metadata"]


def test_field_that_a_cluster_does_not_know_is_taken_out() -> None:
    """It is found by the path that the API server names, also in a list."""
    thing = {"kind": "Pod", "spec": {"containers": [{"name": "a", "probe": {"grace": 1, "path": "/"}}]}}
    made = objects.without(thing, '.spec.containers[name="a"].probe.grace')
    assert made == {"kind": "Pod", "spec": {"containers": [{"name": "a", "probe": {"path": "/"}}]}}


@pytest.fixture(scope="module")
def cluster(pytestconfig: pytest.Config) -> Iterator[test_cluster.Cluster]:
    """A cluster of its own, with one node."""
    if not pytestconfig.option.cluster:
        pytest.skip("runs with --cluster")
    if lack := test_cluster.missing():
        pytest.skip(lack)
    with test_cluster.cluster() as found:
        yield found


def build(project: Path, image: str) -> None:
    """Give the node an image of a project."""
    base = f"--build-arg=BASE_IMAGE={container_engine.BASE_IMAGE}"
    subprocess.run(
        ["docker", "build", "--quiet", f"--tag={image}", base, "."],
        cwd=project,
        env={**os.environ, "DOCKER_BUILDKIT": "0"},
        check=True,
    )


@pytest.fixture(scope="module")
def project(cluster: test_cluster.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate a project, and give the node its image; all its stacks together fit on a node with two CPUs."""
    made = bake(
        tmp_path_factory.mktemp("baked"),
        process_manager="kubernetes",
        database="postgresql",
        app_server="uvicorn",
    )
    file = made / DEPLOYMENT
    file.write_text(file.read_text(encoding="utf-8").replace("cpu: 250m", "cpu: 25m"), encoding="utf-8")
    make_images(["docker"], made)
    build(made, IMAGE)
    assert cluster.namespaces() == []
    return made


def in_cluster(project: Path, cluster: test_cluster.Cluster, *words: str, image: str = IMAGE) -> Verdict:
    """Run checks with the pods in the cluster."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(cluster.kubeconfig))
        return run_deploycheck(project, CONTEXT, f"--deploycheck-cluster-image={image}", *words)


@pytest.mark.slow
def test_unbroken_project_passes_in_the_cluster(
    project: Path, cluster: test_cluster.Cluster, tmp_path: Path
) -> None:
    """What pods show is observed; the report names the cluster, and what was not applied; nothing is left there."""
    copy = copy_of(project, tmp_path / "notes_api")
    verdict = in_cluster(copy, cluster, f"--deploycheck-select={IN_CLUSTER}")
    assert verdict.ids("passed") == frozenset(IN_CLUSTER.split(",")), verdict.explain()
    report = json.loads((copy / "deploycheck-report/report.json").read_text(encoding="utf-8"))
    relocated = "\n".join(report["relocated"])
    assert f"cluster -> {test_cluster.CONTEXT}, Kubernetes v1.20" in relocated
    assert "PodDisruptionBudget notes-api -> not applied: the cluster knows no policy/v1" in relocated
    assert "Gateway notes-api -> not applied" in relocated
    assert cluster.namespaces() == []


@pytest.mark.slow
def test_interrupted_run_leaves_no_namespace(
    project: Path, cluster: test_cluster.Cluster, tmp_path: Path
) -> None:
    """Ctrl-C while pods start removes them with their namespace."""
    copy = copy_of(project, tmp_path / "notes_api")
    words = [*pytest_in(copy), "--deploycheck", CONTEXT, f"--deploycheck-cluster-image={IMAGE}"]
    process = subprocess.Popen(
        [*words, "--deploycheck-select=BOOT002"],
        cwd=copy,
        env={**os.environ, "KUBECONFIG": str(cluster.kubeconfig)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert wait_for(cluster.namespaces, bool, deadline_s=60)
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, said.decode()
    assert cluster.namespaces() == []


@pytest.mark.slow
def test_who_may_make_no_namespace_is_told_so(
    project: Path, cluster: test_cluster.Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run ends before it begins, with one line."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    words = [*pytest_in(project), "--deploycheck", f"--deploycheck-cluster={test_cluster.STRANGER}"]
    done = subprocess.run(words, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "its user may not create namespaces" in done.stderr


@pytest.mark.slow
def test_image_that_cannot_be_pulled_is_named(
    project: Path, cluster: test_cluster.Cluster, tmp_path: Path
) -> None:
    """The first check fails, and says which option names another one; the namespace goes all the same."""
    copy = copy_of(project, tmp_path / "notes_api")
    image = "registry.invalid/notes-api:1"
    verdict = in_cluster(copy, cluster, "--deploycheck-select=BOOT002", image=image)
    assert verdict.caught == {"BOOT002"}, verdict.explain()
    assert f"{image}: no pod of it comes up" in verdict.explain()
    assert "--deploycheck-cluster-image" in verdict.explain()
    assert cluster.namespaces() == []


@pytest.mark.slow
@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.id)
def test_broken_project_is_caught_by_exactly(
    record: Sabotage, project: Path, cluster: test_cluster.Cluster, tmp_path: Path
) -> None:
    """A broken project makes exactly the named checks fail."""
    copy = copy_of(project, tmp_path / "notes_api")
    record.apply(copy)
    image = f"deploycheck-tests/broken:{RECORDS.index(record)}"
    build(copy, image)
    verdict = in_cluster(copy, cluster, f"--deploycheck-select={','.join(record.touches)}", image=image)
    assert verdict.caught == record.caught_by, verdict.explain()
