"""The API of a cluster, through ``kubectl proxy``: whatever kubectl needs to be let in, it brings.

https://kubernetes.io/docs/reference/using-api
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from pytest_deploycheck.probes.unix import UnixConnection, accepts
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.sandbox.run import Run
from pytest_deploycheck.stacks.kubernetes.cluster.access import Cluster
from pytest_deploycheck.stacks.kubernetes.manifests import Object, at
from pytest_deploycheck.stacks.protocol import StackError

UP_S = 15.0
PATIENCE_S = 30.0
# A watch ends after some time, and is begun again.
WATCH_S = 300
APPLY = {"fieldManager": "deploycheck", "force": "true"}


@dataclass(frozen=True, kw_only=True)
class Resource:
    """A kind of objects that the cluster knows: its name in paths, and whether its objects are in a namespace."""

    path: str
    is_namespaced: bool


@dataclass(frozen=True)
class Api:
    """What answers at a unix socket of the run."""

    socket: Path

    @classmethod
    def of(cls, run: Run, cluster: Cluster) -> Api:
        """Return the run's own, started once."""
        return run.shared(cls, lambda: cls._start(run, cluster))

    @classmethod
    def _start(cls, run: Run, cluster: Cluster) -> Api:
        api = cls(run.folder / "kubectl.sock")
        words = ["kubectl", f"--kubeconfig={cluster.kubeconfig(run)}", "proxy", f"--unix-socket={api.socket}"]
        with (run.folder / "kubectl.log").open("wb") as log:
            run.popen(words, env=environment(run), stdout=log, stderr=log)
        if not wait_for(lambda: accepts(api.socket), bool, deadline_s=UP_S):
            raise StackError(f"kubectl proxy does not start: {(run.folder / 'kubectl.log').read_text()}")
        return api

    def get(self, path: str, **query: str) -> Any:
        """Return an object; None where there is none."""
        return self._send("GET", path, query)[1]

    def post(self, path: str, body: Object) -> None:
        """Make an object.

        Raises:
            StackError: the cluster refuses it.
        """
        self._must("POST", path, {}, body)

    def patch(self, path: str, body: Object) -> None:
        """Merge something into an object.

        Raises:
            StackError: the cluster refuses it.
        """
        self._must("PATCH", path, {}, body, "application/merge-patch+json")

    def apply(self, path: str, body: Object) -> None:
        """Make an object, or change it into this: what ``kubectl apply --server-side`` does.

        Raises:
            StackError: the cluster refuses it.
        """
        self._must("PATCH", path, APPLY, body, "application/apply-patch+yaml")

    def delete(self, path: str, *, at_once: bool = False) -> None:
        """Delete an object, or all of a kind; ``at_once`` without any grace."""
        self._send("DELETE", path, {"gracePeriodSeconds": "0"} if at_once else {})

    def resource(self, api_version: str, kind: str) -> Resource | None:
        """Return a kind; None if the cluster does not know it in this version."""
        folder = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        for item in at(self.get(folder), "resources", ()):
            if item["kind"] == kind and "/" not in item["name"]:
                return Resource(path=f"{folder}/{{}}{item['name']}", is_namespaced=item["namespaced"])
        return None

    def watch(self, path: str) -> Iterator[dict[str, Any]]:
        """Yield what is there, and each change of it, for some minutes; it may end at any time before."""
        with self._open(path, {"watch": "true", "timeoutSeconds": str(WATCH_S)}, 2 * WATCH_S) as answer:
            for line in answer:
                with contextlib.suppress(ValueError):
                    yield json.loads(line)

    def lines(self, path: str, **query: str) -> Iterator[str]:
        """Yield the lines of a log as they come; none where there is no such log."""
        with self._open(path, query, None) as answer:
            for line in answer if answer.status == http.client.OK else ():
                yield line.decode("utf-8", errors="replace")

    @contextlib.contextmanager
    def _open(
        self, path: str, query: Mapping[str, str], timeout_s: float | None
    ) -> Iterator[http.client.HTTPResponse]:
        connection = UnixConnection(self.socket, timeout_s=timeout_s or 3600)
        with contextlib.closing(connection):
            connection.request("GET", f"{path}?{urlencode(query)}", headers={"Host": "localhost"})
            yield connection.getresponse()

    def _must(self, method: str, path: str, query: Mapping[str, str], body: Object, kind: str = "") -> None:
        status, said = self._send(method, path, query, body, kind or "application/json")
        if status >= http.client.BAD_REQUEST:
            kinds = f"{body.get('kind')} {at(body, 'metadata.name')}"
            raise StackError(f"{kinds}: the cluster says: {at(said, 'message', f'status {status}')}")

    def _send(
        self, method: str, path: str, query: Mapping[str, str], body: Object | None = None, kind: str = ""
    ) -> tuple[int, Any]:
        """Return status and JSON of an answer; 503 where nobody answers."""
        connection = UnixConnection(self.socket, timeout_s=PATIENCE_S)
        headers = {"Host": "localhost", **({"Content-Type": kind} if body is not None else {})}
        target = f"{path}?{urlencode(query)}" if query else path
        with (
            contextlib.suppress(OSError, ValueError, http.client.HTTPException),
            contextlib.closing(connection),
        ):
            connection.request(method, target, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            said = json.loads(answer.read())
            return answer.status, said if method != "GET" or answer.status == http.client.OK else None
        return http.client.SERVICE_UNAVAILABLE, {"message": "kubectl proxy does not answer"}


def environment(run: Run) -> dict[str, str]:
    """Return the environment of kubectl: the user's own, for what lets kubectl into the cluster may need it."""
    name, _, value = run.tag.partition("=")
    return {**os.environ, name: value}
