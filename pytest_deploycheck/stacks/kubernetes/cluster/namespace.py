"""One namespace of the checks, and what is applied in it; what the cluster does not know is left out, and told."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

from pytest_deploycheck.sandbox.run import Run
from pytest_deploycheck.stacks.kubernetes.cluster import objects
from pytest_deploycheck.stacks.kubernetes.cluster.api import Api
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, Object, at, named
from pytest_deploycheck.stacks.protocol import StackError

ACCOUNT_S = 20.0
# What an API server says of a field that a later version has.
UNKNOWN = re.compile(r"(\.\S+): field not declared in schema")
MOST_UNKNOWN = 20
# What ends, whatever has ended the run: first the namespaces, so that nothing makes pods again, then the pods' grace.
REMOVE = """
export KUBECONFIG=$0
names=$(kubectl get namespaces --selector "$1" --output name)
[ -n "$names" ] || exit 0
kubectl delete $names --wait=false
for name in $names; do
    kubectl --namespace "${name#*/}" delete pods --all --force --grace-period=0 --wait=false
done
kubectl wait --for=delete $names --timeout=60s
"""


class Namespace:
    """A namespace of one stack.

    Attributes:
        name: its name.
        told: what of the manifests is not there, a line each.
    """

    def __init__(self, api: Api, run: Run, kubeconfig: str, *, number: str) -> None:
        """Let it be removed at the end of the run, whether it will be made or not; ``number`` is that of the stack."""
        self._api, self._run = api, run
        self.name = f"deploycheck-{run.folder.name.removeprefix('dc-')}-{number}"
        self.told: list[str] = []
        remove = ("sh", "-c", f"({REMOVE}) >/dev/null 2>&1", kubeconfig, f"deploycheck/run={run.folder.name}")
        run.shared(REMOVE, lambda: run.at_the_end(*remove))

    def make(self, found: Manifests) -> None:
        """Make it.

        Raises:
            StackError: the cluster refuses it.
        """
        labels = {"app.kubernetes.io/managed-by": "deploycheck", "deploycheck/run": self._run.folder.name}
        self._api.post("/api/v1/namespaces", objects.namespace_of(found, self.name, labels))

    def path(self, thing: Object) -> str | None:
        """Return the path of an object in it; None where the cluster knows no such kind."""
        version, kind = str(thing.get("apiVersion")), str(thing.get("kind"))
        known = self._run.shared((version, kind), lambda: self._api.resource(version, kind))
        if known is None or not known.is_namespaced:
            return None
        return f"{known.path.format(f'namespaces/{self.name}/')}/{at(thing, 'metadata.name')}"

    def pod(self, name: str) -> str:
        """Return the path of a pod."""
        return f"/api/v1/namespaces/{self.name}/pods/{name}"

    def known(self, things: list[Object]) -> list[Object]:
        """Return those objects whose kinds the cluster knows, and tell of the others."""
        unknown = [thing for thing in things if self.path(thing) is None]
        self.told += [
            f"{named(thing)} -> not applied: the cluster knows no {thing.get('apiVersion')}"
            for thing in unknown
        ]
        return [thing for thing in things if thing not in unknown]

    def apply(self, thing: Object) -> None:
        """Make an object, or change it into this one.

        Raises:
            StackError: the cluster refuses it.
        """
        path = self.path(thing)
        assert path, named(thing)
        whole: Mapping[str, Any] = {**thing, "metadata": {**thing["metadata"], "namespace": self.name}}
        for _ in range(MOST_UNKNOWN):
            try:
                self._api.apply(path, whole)
            except StackError as error:
                unknown = UNKNOWN.search(str(error))
                if not unknown:
                    raise
                whole = objects.without(whole, unknown[1])
                line = f"{named(thing)}: {unknown[1]} -> left out: the cluster does not know it"
                self.told += [line] if line not in self.told else []
            else:
                return

    def apply_when_possible(self, pod: Object) -> None:
        """Apply a pod: a new namespace refuses them until it has its default service account."""
        end = time.monotonic() + ACCOUNT_S
        while True:
            try:
                self.apply(pod)
            except StackError as error:
                if "serviceaccount" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return
