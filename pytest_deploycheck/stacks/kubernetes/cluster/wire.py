"""The line between this machine and a namespace, with the pod at its other end."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.http import Upstream
from pytest_deploycheck.probes.processes import with_descendants
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.ports import LOOPBACK, listener
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.stacks.kubernetes.cluster import objects
from pytest_deploycheck.stacks.kubernetes.cluster.access import IMAGE_OPTION
from pytest_deploycheck.stacks.kubernetes.cluster.api import Api, environment
from pytest_deploycheck.stacks.kubernetes.cluster.inside import line
from pytest_deploycheck.stacks.kubernetes.cluster.namespace import Namespace
from pytest_deploycheck.stacks.kubernetes.cluster.pods import NO_IMAGE
from pytest_deploycheck.stacks.kubernetes.cluster.states import why_unscheduled
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, Object, at
from pytest_deploycheck.stacks.protocol import StackError

# To pull an image, and for the first pod of a namespace.
POD_DEADLINE_S = 180.0
OPEN_DEADLINE_S = 20.0
# Who refuses a connection in the cluster has done so by then, in seconds.
REFUSED_S = 2.0


@dataclass(frozen=True)
class ThroughTheLine(Upstream):
    """The Service, at this end of the line: which takes each connection, and ends it where nobody does there.

    ``to_pods`` leads to each pod that is ready, past the Service, and returns where, on this machine.
    """

    to_pods: Callable[[], list[str]] | None = None

    def replicas(self) -> list[Upstream]:
        """Return an address of each pod."""
        return [ThroughTheLine(address) for address in (self.to_pods() if self.to_pods else ())] or [self]

    def accepts(self) -> bool:
        """Tell whether somebody takes connections at the Service."""
        host, _, port = self.address.rpartition(":")
        with socket.socket() as connection:
            connection.settimeout(REFUSED_S)
            try:
                connection.connect((host, int(port)))
                return bool(connection.recv(1))
            except TimeoutError:
                return True  # it waits for a request
            except OSError:
                return False


class Wire:
    """The line of one stack.

    Attributes:
        address: of the pod at the other end; empty before that runs.
        service: the address of the Service with its port; empty before the line was opened.
        folder: where the image has the project.
    """

    def __init__(self, api: Api, copy: ProjectCopy, namespace: Namespace, kubectl: list[str]) -> None:
        self._api, self._copy, self._namespace, self._kubectl = api, copy, namespace, kubectl
        self._target = copy.root.with_suffix(".database")
        self._process: subprocess.Popen[bytes] | None = None
        self._ways: dict[str, tuple[int, subprocess.Popen[bytes]]] = {}
        self._lock = threading.Lock()
        self.address = self.folder = self.service = ""

    def make(self, found: Manifests, image: str) -> None:
        """Make the pod at the other end.

        Raises:
            StackError: it does not come up, for example because its image cannot be pulled.
        """
        self._namespace.apply(objects.probe_files())
        if found.of_kind("NetworkPolicy"):
            self._namespace.apply(objects.line_policy(found))
        self._namespace.apply_when_possible(objects.line_pod(found, image))
        path = self._namespace.pod(objects.LINE_NAME)
        pod = wait_for(lambda: self._api.get(path), _is_clear, deadline_s=POD_DEADLINE_S, every_s=0.3)
        if not (address := _address_of(pod)):
            raise StackError(
                f"{image}: no pod of it comes up: {_why(pod)}; {IMAGE_OPTION} names an image that the cluster can pull"
            )
        self.folder = "".join(self._api.lines(f"{path}/log")).strip()
        self.address = address

    def through(self, url: str) -> str:
        """Return an URL of the database as the pods reach it, and let the line lead there; what is none stays."""
        with contextlib.suppress(ValueError):
            parts = urlsplit(url)
            if parts.hostname and parts.port:
                self._target.write_text(f"{parts.hostname}:{parts.port}", encoding="ascii")
                user, at_sign, _ = parts.netloc.rpartition("@")
                return parts._replace(netloc=f"{user}{at_sign}{self.address}:{line.DATABASE_PORT}").geturl()
        return url

    def open(self, port: int, service: tuple[str, int]) -> None:
        """Start both ends, if they do not run: from a port here to the address of the Service there.

        Raises:
            StackError: kubectl does not carry it.
        """
        if self._process is None or self._process.poll() is not None:
            ip, number = service
            self.service = f"{ip}:{number}"
            self._process = self._begin(port, self.service)

    def to_pods(self, addresses: Iterable[str], number: int) -> list[str]:
        """Lead to a port of single pods, with a line for each; return where, on this machine.

        Raises:
            StackError: kubectl does not carry it.
        """
        found = []
        with self._lock:
            for address in addresses:
                port, process = self._ways.get(address, (0, None))
                if process is None or process.poll() is not None:
                    port = self._copy.run.ports.take()
                    # The line to the Service takes the connections to the database.
                    self._ways[address] = port, self._begin(port, f"{address}:{number}", "0")
                found.append(f"{LOOPBACK}:{port}")
        return found

    def run(self, script: str, order: Mapping[str, Any], *, timeout_s: float) -> Any:
        """Let the pod at the other end run a script with an order; return what it says. Both are JSON.

        Raises:
            NotVerified: it says nothing.
        """
        words = ["python3", "-E", "-s", "-S", f"{objects.PROBE}/{script}"]
        process = self._copy.run.popen(
            [*self._kubectl, "exec", "--stdin", objects.LINE_NAME, "--", *words],
            env=environment(self._copy.run),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        try:
            said, errors = process.communicate(json.dumps(order).encode(), timeout=timeout_s)
            return json.loads(said)
        except subprocess.TimeoutExpired:
            process.kill()
            why = f"no answer within {timeout_s:.0f} s"
        except ValueError:
            why = (errors.decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
        raise NotVerified(f"the pod {objects.LINE_NAME} cannot run {script}: {why}")

    def processes(self) -> frozenset[int]:
        """Return the processes at this end of the line to the Service."""
        is_up = self._process is not None and self._process.poll() is None
        return with_descendants({self._process.pid}) if self._process and is_up else frozenset()

    def _begin(self, port: int, *there: str) -> subprocess.Popen[bytes]:
        """Start both ends of a line; ``there`` are the arguments of the one in the pod."""
        tag, _, events = self._copy.tag.partition("=")
        far = ["python3", "-E", "-s", "-S", "-u", f"{objects.PROBE}/line.py", "there", *there]
        carrier = [*self._kubectl, "exec", "--stdin", objects.LINE_NAME, "--", *far]
        words = [sys.executable, "-I", line.__file__, "here", str(port), str(self._target), *carrier]
        said = Path(f"{self._target}.log")
        with said.open("wb") as log:
            process = self._copy.run.popen(
                words, env={**environment(self._copy.run), tag: events}, stdout=log, stderr=log
            )
        if not wait_for(lambda: listener(port), bool, deadline_s=OPEN_DEADLINE_S):
            lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
            raise StackError(
                f"no line to the pod {objects.LINE_NAME}: kubectl exec: {(lines or ['it says nothing'])[-1]}"
            )
        return process


def _address_of(pod: Object | None) -> str:
    is_up = any(at(status, "state.running") for status in at(pod, "status.containerStatuses", ()))
    return str(at(pod, "status.podIP", "")) if is_up else ""


def _is_clear(pod: Object | None) -> bool:
    """Tell whether a pod runs, or has no image."""
    waiting = [at(status, "state.waiting.reason") for status in at(pod, "status.containerStatuses", ())]
    return bool(_address_of(pod)) or any(reason in NO_IMAGE for reason in waiting)


def _why(pod: Object | None) -> str:
    said = [
        *(at(status, "state.waiting.message") for status in at(pod, "status.containerStatuses", ())),
        *why_unscheduled(pod),
    ]
    return "; ".join(filter(None, said)) or "nobody says why"
