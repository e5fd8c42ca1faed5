"""A Kubernetes cluster with one node for the length of some tests, of programs that were built of Debian's sources.

It lives in a network namespace of its own, with its addresses and rules; a container engine of its own runs its pods.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import container_engine

from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.engine import Engine
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH

# Where CONTRIBUTING.md builds them.
PROGRAMS = Path(os.environ.get("DEPLOYCHECK_KUBERNETES", "/opt/kubernetes"))
BUILT = ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy", "kubelet")
PACKAGES = {
    "etcd": "etcd-server",
    "gcc": "gcc",
    "ip": "iproute2",
    "iptables": "iptables",
    "kubectl": "kubectl, of Kubernetes",
    "openssl": "openssl",
    "socat": "socat",
    "conntrack": "conntrack",
}
PLUGINS = Path("/usr/lib/cni")
CONTEXT, STRANGER = "deploycheck-tests", "deploycheck-stranger"
NODE, NAME = "node-1", "dc-cluster"
HERE, THERE, PODS, SERVICES = "10.213.77.1", "10.213.77.2", "10.244.77.0/24", "10.96.0.0/16"
START_DEADLINE_S = 120.0
# What is the first process of each pod: it waits, and reaps what the containers leave.
PAUSE_IMAGE = "deploycheck-tests/pause"
PAUSE = """
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int number) { exit(0); }
static void reap(int number) { while (waitpid(-1, NULL, WNOHANG) > 0); }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, reap); for (;;) pause(); }
"""
# Kubelet wants to keep some containers from the kernel's choice when memory ends, and not each machine of the tests has
# the right to (CAP_SYS_RESOURCE); there no container would start.
RUNTIME = """#!/bin/sh
previous=
for word; do
    [ "$previous" != --bundle ] || sed -i 's/"oomScoreAdj":-[0-9]*/"oomScoreAdj":0/' "$word/config.json"
    previous=$word
done
exec runc "$@"
"""
TOKENS = """{secret},admin,1,system:masters
{stranger},stranger,2,
"""


def missing() -> str | None:
    """Return what this machine lacks, None if all is here."""
    if absent := [name for name in BUILT if not (PROGRAMS / name).is_file()]:
        return f"{', '.join(absent)} are not in {PROGRAMS}: CONTRIBUTING.md tells how they are built"
    for program, package in PACKAGES.items():
        if not shutil.which(program, path=SYSTEM_PATH):
            return f"apt-get install {package}"
    if not (PLUGINS / "bridge").is_file():
        return "apt-get install containernetworking-plugins"
    return container_engine.missing()


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """One that runs.

    Attributes:
        engine: what runs its containers, and has its images.
        kubeconfig: a file with two contexts: of one who may do everything, and of one who may do nothing.
    """

    engine: Engine
    kubeconfig: Path

    def kubectl(self, *words: str) -> str:
        """Return what kubectl prints."""
        command = ["kubectl", f"--kubeconfig={self.kubeconfig}", f"--context={CONTEXT}", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def namespaces(self) -> list[str]:
        """Return those that the checks have made, and not removed yet."""
        label = "--selector=app.kubernetes.io/managed-by=deploycheck"
        return self.kubectl("get", "namespaces", label, "--output=name").split()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """Start a cluster, and end it, with all that it has made."""
    with ExitStack() as at_the_end:
        folder = Path(tempfile.mkdtemp(prefix="dc-cluster-"))
        at_the_end.callback(shutil.rmtree, folder, ignore_errors=True)
        runtime = folder / "runtime"
        runtime.write_text(RUNTIME, encoding="ascii")
        runtime.chmod(0o755)
        options = (f"--add-runtime=tests={runtime}", "--default-runtime=tests")
        engine = at_the_end.enter_context(container_engine.engine(*options))
        logs = [Path("/var/log/pods"), Path("/var/log/containers")]
        for path in (path for path in logs if not path.exists()):
            at_the_end.callback(shutil.rmtree, path, ignore_errors=True)
        at_the_end.enter_context(_network())
        kubeconfig = _identities(folder)
        _make_pause_image(folder)
        daemons = _daemons(folder, engine, kubeconfig)
        at_the_end.callback(_remove_containers, folder)
        for name, words in daemons.items():
            at_the_end.enter_context(_daemon(folder, name, words))
            if name == "kube-apiserver":
                _wait(_api_answers, folder, name)
        found = Cluster(engine=engine, kubeconfig=kubeconfig)
        _wait(lambda: _is_ready(found), folder, "kubelet")
        yield found


@contextmanager
def _network() -> Iterator[None]:
    """Make the namespace, with a line to it."""
    _run("ip", "netns", "add", NAME)
    try:
        _run("ip", "link", "add", NAME, "type", "veth", "peer", "name", "eth0", "netns", NAME)
        _run("ip", "address", "add", f"{HERE}/24", "dev", NAME)
        _run("ip", "link", "set", NAME, "up")
        inside = ("ip", "-netns", NAME)
        _run(*inside, "address", "add", f"{THERE}/24", "dev", "eth0")
        _run(*inside, "link", "set", "lo", "up")
        _run(*inside, "link", "set", "eth0", "up")
        _run(*inside, "route", "add", "default", "via", HERE)
        _run(*_inside("sysctl", "-qw", "net.ipv4.ip_forward=1"))
        yield
    finally:
        _run("ip", "link", "delete", NAME, check=False)
        _run("ip", "netns", "delete", NAME, check=False)


def _inside(*words: str) -> list[str]:
    """Return a command that runs in the namespace; ``ip netns exec`` would hide the control groups from it."""
    return ["nsenter", f"--net=/run/netns/{NAME}", *words]


def _identities(folder: Path) -> Path:
    """Make the key and the tokens, and the file of those who use them."""
    _run("openssl", "genrsa", "-out", str(folder / "accounts.key"), "2048")
    secret, stranger = os.urandom(16).hex(), os.urandom(16).hex()
    (folder / "tokens.csv").write_text(TOKENS.format(secret=secret, stranger=stranger), encoding="ascii")
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": CONTEXT,
                "cluster": {"server": f"https://{THERE}:6443", "insecure-skip-tls-verify": True},
            }
        ],
        "users": [
            {"name": CONTEXT, "user": {"token": secret}},
            {"name": STRANGER, "user": {"token": stranger}},
        ],
        "contexts": [
            {"name": name, "context": {"cluster": CONTEXT, "user": name}} for name in (CONTEXT, STRANGER)
        ],
        "current-context": CONTEXT,
    }
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config), encoding="ascii")
    return file


def _make_pause_image(folder: Path) -> None:
    (folder / "pause.c").write_text(PAUSE, encoding="ascii")
    (folder / "root").mkdir()
    _run("gcc", "-Os", "-static", "-o", str(folder / "root/pause"), str(folder / "pause.c"))
    archive = subprocess.run(
        ["tar", "-C", folder / "root", "-c", "."], check=True, capture_output=True
    ).stdout
    subprocess.run(
        ["docker", "import", '--change=ENTRYPOINT ["/pause"]', "-", PAUSE_IMAGE],
        input=archive,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _daemons(folder: Path, engine: Engine, kubeconfig: Path) -> Mapping[str, list[str]]:
    """Return the command lines, in the order in which they start."""
    network = folder / "cni"
    network.mkdir()
    ipam = {
        "type": "host-local",
        "subnet": PODS,
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(folder / "addresses"),
    }
    bridge = {
        "cniVersion": "0.3.1",
        "name": NAME,
        "type": "bridge",
        "bridge": "pods",
        "isGateway": True,
        "ipMasq": True,
        "hairpinMode": True,
        "ipam": ipam,
    }
    (network / "bridge.conf").write_text(json.dumps(bridge), encoding="ascii")
    key, by = folder / "accounts.key", f"--kubeconfig={kubeconfig}"
    data, certificates = folder / "etcd", f"--cert-dir={folder / 'certificates'}"
    return {
        "etcd": [
            "/usr/bin/etcd",
            f"--data-dir={data}",
            "--unsafe-no-fsync",
            "--log-level=warn",
        ],
        "kube-apiserver": [
            "--etcd-servers=http://127.0.0.1:2379",
            f"--advertise-address={THERE}",
            f"--service-cluster-ip-range={SERVICES}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={key}",
            f"--service-account-key-file={key}",
            "--kubelet-preferred-address-types=InternalIP",
            certificates,
        ],
        "kube-controller-manager": [
            by,
            f"--service-account-private-key-file={key}",
            "--leader-elect=false",
            "--port=0",
            certificates,
        ],
        "kube-scheduler": [by, "--leader-elect=false", "--port=0"],
        "kube-proxy": [
            by,
            f"--hostname-override={NODE}",
            "--proxy-mode=iptables",
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0",
            "--conntrack-tcp-timeout-close-wait=0",
        ],
        "kubelet": [
            by,
            f"--hostname-override={NODE}",
            f"--node-ip={THERE}",
            f"--root-dir={folder / 'kubelet'}",
            f"--experimental-dockershim-root-directory={folder / 'dockershim'}",
            f"--volume-plugin-dir={folder / 'plugins'}",
            f"--docker-endpoint={engine.address}",
            f"--pod-infra-container-image={PAUSE_IMAGE}",
            "--network-plugin=cni",
            f"--cni-bin-dir={PLUGINS}",
            f"--cni-conf-dir={network}",
            f"--cni-cache-dir={folder / 'cache'}",
            # Pods find no names: those of the tests need none.
            "--cluster-dns=127.0.0.1",
            "--cluster-domain=cluster.local",
            f"--cgroup-root=/{engine.socket.parent.name}",
            "--cgroups-per-qos=false",
            "--enforce-node-allocatable=",
            "--fail-swap-on=false",
            "--eviction-hard=memory.available<1Mi",
            "--image-gc-high-threshold=100",
            "--read-only-port=0",
            "--resolv-conf=",
            "--authorization-mode=AlwaysAllow",
            certificates,
        ],
    }


@contextmanager
def _daemon(folder: Path, name: str, words: list[str]) -> Iterator[None]:
    """Run a program of the cluster."""
    program = [] if words[0].startswith("/") else [str(PROGRAMS / name)]
    environment = {"PATH": f"{PROGRAMS}:{SYSTEM_PATH}"}
    with (folder / f"{name}.log").open("wb") as log:
        process = subprocess.Popen(
            _inside(*program, *words), cwd=folder, env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _remove_containers(folder: Path) -> None:
    """Remove what kubelet has made, once it is gone."""
    listed = subprocess.run(["docker", "ps", "--all", "--quiet"], check=False, capture_output=True, text=True)
    if names := listed.stdout.split():
        _run("docker", "rm", "--force", "--volumes", *names, check=False)
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines()]
    for mount in sorted((path for path in mounts if path.startswith(str(folder))), reverse=True):
        _run("umount", mount, check=False)


def _wait(is_there: Callable[[], bool], folder: Path, name: str) -> None:
    seen = wait_for(is_there, bool, deadline_s=START_DEADLINE_S, every_s=0.3)
    assert seen, (folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")[-3000:]


def _api_answers() -> bool:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection(THERE, 6443, context=context, timeout=5)
    with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
        connection.request("GET", "/readyz")
        return connection.getresponse().status == http.client.OK
    return False


def _is_ready(found: Cluster) -> bool:
    with contextlib.suppress(subprocess.CalledProcessError):
        return "True" in found.kubectl(
            "get", "nodes", '-ojsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}'
        )
    return False


def _run(*words: str, check: bool = True) -> None:
    subprocess.run(
        words, check=check, stdout=subprocess.DEVNULL, stderr=None if check else subprocess.DEVNULL
    )
