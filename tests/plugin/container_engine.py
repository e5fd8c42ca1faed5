"""A container engine for the length of some tests, with images that no registry gave."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from images import (
    BASE_IMAGE,
    CADDY_IMAGE,
    CERTBOT_IMAGE,
    HAPROXY_IMAGE,
    NGINX_IMAGE,
    POSTGRES_IMAGE,
    TRAEFIK_IMAGE,
    make_certbot_image,
    make_haproxy_image,
    make_images,
    make_nginx_image,
    make_postgres_image,
    make_traefik_image,
)

from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox import compose_plugin
from pytest_deploycheck.sandbox.engine import Engine
from pytest_deploycheck.sandbox.ports import listener
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH

PROGRAMS = {"dockerd": "docker.io", "dpkg": "dpkg"}
START_DEADLINE_S = 60.0
SWARM_PORTS = (2377, 7946)
IMAGES = {
    "BASE_IMAGE": BASE_IMAGE,
    "CADDY_IMAGE": CADDY_IMAGE,
    "CERTBOT_IMAGE": CERTBOT_IMAGE,
    "HAPROXY_IMAGE": HAPROXY_IMAGE,
    "NGINX_IMAGE": NGINX_IMAGE,
    "POSTGRES_IMAGE": POSTGRES_IMAGE,
    "TRAEFIK_IMAGE": TRAEFIK_IMAGE,
}
# Made for those projects only that want them.
SOME = {
    "CERTBOT_IMAGE": make_certbot_image,
    "HAPROXY_IMAGE": make_haproxy_image,
    "NGINX_IMAGE": make_nginx_image,
    "POSTGRES_IMAGE": make_postgres_image,
    "TRAEFIK_IMAGE": make_traefik_image,
}


def missing() -> str | None:
    """Return what this machine lacks, None if all is here."""
    for program, package in PROGRAMS.items():
        if not shutil.which(program, path=SYSTEM_PATH):
            return f"apt-get install {package}"
    if not compose_plugin.is_in_system() and not shutil.which("docker-compose", path=SYSTEM_PATH):
        return "apt-get install docker-compose"
    return None if os.geteuid() == 0 else "only root can start a container engine"


@contextmanager
def control_group(name: str) -> Iterator[str]:
    """Make a group for all containers; return its path.

    Processes outside of any group compete with each group as a whole: without a weight of its own, all containers
    together would get no more of a busy machine's CPU than one other process. With much more, the checks themselves
    would wait, and find health slow (RES003).
    """
    for folder, file, most in (("cpu", "cpu.shares", "2048"), ("", "cpu.weight", "200")):
        group = Path("/sys/fs/cgroup", folder, name)
        if group.parent.joinpath("cgroup.procs").exists():
            group.mkdir()
            with contextlib.suppress(OSError):  # version 2, and nobody has handed this controller down
                (group / file).write_text(most, encoding="ascii")
            break
    try:
        yield f"/{name}"
    finally:
        for parent in (Path("/sys/fs/cgroup"), *Path("/sys/fs/cgroup").iterdir()):
            for path in sorted(parent.joinpath(name).glob("**/"), reverse=True):
                with contextlib.suppress(OSError):
                    path.rmdir()


@contextmanager
def engine(*options: str) -> Iterator[Engine]:
    """Start an engine of its own, which has no image and knows no network; end it, and remove all.

    ``docker`` and the checks find it by ``DOCKER_HOST``; ``options`` are more of those of ``dockerd``.
    """
    with daemon(*options) as found:
        yield found.engine


@contextmanager
def daemon(*options: str) -> Iterator[Daemon]:
    """The same, for who wants to start the engine again."""
    folder = Path(tempfile.mkdtemp(prefix="dc-engine-"))
    before = os.environ.get("DOCKER_HOST")
    with control_group(folder.name) as group:
        found = Daemon(folder, (f"--cgroup-parent={group}", *options))
        os.environ["DOCKER_HOST"] = found.engine.address
        try:
            found.start()
            yield found
        finally:
            os.environ.pop("DOCKER_HOST") if before is None else os.environ.update(DOCKER_HOST=before)
            found.stop()
            # The engine leaves the network namespaces mounted that its containers shared with the machine.
            for namespace in folder.glob("exec/netns/*"):
                subprocess.run(["umount", namespace], check=False, capture_output=True)
            shutil.rmtree(folder, ignore_errors=True)


class Daemon:
    """The process of an engine that has all in one folder."""

    def __init__(self, folder: Path, options: tuple[str, ...]) -> None:
        """``options`` are more of those of ``dockerd``."""
        self.engine = Engine(folder / "docker.sock")
        self._log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        # Outside of the group it would get less of the CPU than all that it has started.
        self._command = ["nice", "--adjustment=-10", "dockerd", "--bridge=none", "--iptables=false"]
        places = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        self._command += [f"--{name}={folder / place}" for name, place in places.items()]
        self._command += [f"--host={self.engine.address}", *options]

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        up = wait_for(lambda: self.engine.pid, bool, deadline_s=START_DEADLINE_S)
        assert up, self._log.read_text(encoding="utf-8")

    def stop(self) -> None:
        """Stop it in order, as a machine does that goes down: it stops its containers first."""
        if self._process:
            self._process.terminate()
            self._process.wait(timeout=60)


def other_swarm() -> str | None:
    """Return why no swarm can be made beside another one of this machine, None if there is none."""
    taken = [port for port in SWARM_PORTS if listener(port)]
    return f"another swarm listens on port {taken[0]}" if taken else None


@contextmanager
def swarm(found: Engine) -> Iterator[None]:
    """Let the engine manage a swarm of its own."""
    subprocess.run(
        ["docker", "swarm", "init", "--advertise-addr=127.0.0.1"], check=True, stdout=subprocess.DEVNULL
    )
    assert found.is_manager
    try:
        yield
    finally:
        subprocess.run(["docker", "swarm", "leave", "--force"], check=False, stdout=subprocess.DEVNULL)
        # The swarm leaves the bridge that its containers would reach the world by.
        subprocess.run(["ip", "link", "delete", "docker_gwbridge"], check=False, capture_output=True)


def use_images(project: Path) -> None:
    """Make images for a generated project, and let it build on them."""
    make_images(["docker"], project)
    file = project / ".env"
    lines = file.read_text(encoding="utf-8").splitlines()
    wanted = {line.partition("=")[0] for line in lines}
    for name, make in SOME.items():
        if name in wanted:
            make(["docker"])
    values = [line for line in lines if line.partition("=")[0] not in IMAGES]
    values += [f"{name}={image}" for name, image in IMAGES.items() if name in wanted]
    file.write_text("\n".join(values) + "\n", encoding="utf-8")
