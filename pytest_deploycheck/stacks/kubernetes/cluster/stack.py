"""A copy of the project in a cluster: its manifests applied in a namespace of its own, and a line to it from here."""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit
from zlib import crc32

from dotenv import dotenv_values

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.probes import elsewhere
from pytest_deploycheck.probes.http import Upstream
from pytest_deploycheck.probes.processes import Processes, with_descendants
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.ports import LOOPBACK, listener
from pytest_deploycheck.sandbox.run import COMMAND_TIMEOUT_S, Finished, ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.stacks.base import BaseStack
from pytest_deploycheck.stacks.contained.edge import caddyfile, edge_command
from pytest_deploycheck.stacks.kubernetes.cluster import objects
from pytest_deploycheck.stacks.kubernetes.cluster.access import IMAGE_OPTION, Cluster
from pytest_deploycheck.stacks.kubernetes.cluster.api import Api, environment
from pytest_deploycheck.stacks.kubernetes.cluster.inside import line
from pytest_deploycheck.stacks.kubernetes.cluster.pods import Pods
from pytest_deploycheck.stacks.kubernetes.gateway import routes_for_caddy
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, Object, at, named, render, selects
from pytest_deploycheck.stacks.kubernetes.rollout import seconds_of
from pytest_deploycheck.stacks.kubernetes.stack import ADVICE
from pytest_deploycheck.stacks.kubernetes.terms import terms_of
from pytest_deploycheck.stacks.protocol import StackError

START_GRACE_S = 1.0
# To pull an image, and for the first pod of a namespace.
LINE_DEADLINE_S = 180.0
GONE_LATE_S = 20.0
# One pod after the other comes up, and the one before it goes, each with its grace.
ROLLOUT_S = 240.0
# Who refuses a connection in the cluster has done so by then, in seconds.
REFUSED_S = 2.0
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


@dataclass(frozen=True)
class PodsCopy(ProjectCopy):
    """A copy whose processes are in pods, except those that stand between it and the public."""

    pods: Pods

    def processes_elsewhere(self) -> set[int]:
        """Return the processes in the pods."""
        return {number for agent in self.pods.agents for number in agent.tree}

    def pids(self) -> set[int]:
        """Return all live processes that were started from this copy."""
        return super().pids() | self.processes_elsewhere()


class ThroughTheLine(Upstream):
    """The Service, at this end of the line: which takes each connection, and ends it where nobody does there."""

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


class ClusterStack(BaseStack):
    """See the ``Stack`` protocol. What no check changes is made once, by ``prepare``: the namespace, and the line."""

    NAME = "kubernetes"
    start_deadline_s = 180.0  # nodes have other work too

    def __init__(
        self,
        cluster: Cluster,
        copy: ProjectCopy,
        extra: Mapping[str, str] | None = None,
        *,
        acme: Acme | None = None,
    ) -> None:
        super().__init__(copy, extra, acme=acme)
        run, config = copy.run, copy.run.config
        folder = config.manager_config or ""
        self._cluster = cluster
        self._found = found = Manifests.parsed(folder, render(copy.root, folder)[1])
        self._terms = terms = terms_of(found, config)
        self._api = Api.of(run, cluster)
        self.namespace = f"deploycheck-{run.folder.name.removeprefix('dc-')}-{copy.root.name}"
        self._label = {"deploycheck/run": run.folder.name}
        self._kubectl = [
            "kubectl",
            f"--kubeconfig={cluster.kubeconfig(run)}",
            f"--namespace={self.namespace}",
        ]
        remove = ("sh", "-c", f"({REMOVE}) >/dev/null 2>&1", cluster.kubeconfig(run))
        run.shared(REMOVE, lambda: run.at_the_end(*remove, f"deploycheck/run={run.folder.name}"))
        edge = edge_command(copy, caddyfile(config.domain, terms.port, routes_for_caddy(found)))
        self.find_parts(
            {"app": terms.command.server_line or terms.command.line, "edge": edge}, kind="command"
        )
        self._edge = self.relocate_proxy(edge)
        self.upstream = ThroughTheLine(self.upstream.address)
        (self._port,) = self.app_ports.values()
        self.parts["proxy"] = "gateway"
        self.log_keeper = "the kubelet"
        self.start_grace_s, self.stop_grace_s = START_GRACE_S, float(terms.stop_grace_s)
        self.stop_delay_s = float(seconds_of(at(found.container, "lifecycle.preStop", {})))
        self._replicas = self.starters = found.fewest
        self._release: objects.Release | None = None
        self._line: subprocess.Popen[bytes] | None = None
        self._front: subprocess.Popen[bytes] | None = None
        self._address = ""
        self._target = copy.root.with_suffix(".database")
        self._image = cluster.image or str(found.container.get("image"))
        self._applied, left = objects.sorted_out(found, config)
        self._unknown: list[str] = []
        self.pods = Pods(
            self._api,
            copy,
            self.namespace,
            labels=found.labels,
            app=str(found.container["name"]),
            kubectl=self._kubectl,
        )
        self.copy = PodsCopy(run, copy.root, self.pods)
        elsewhere.watch(self.pods)
        self.relocated = [
            f"cluster -> {cluster.context}, Kubernetes {cluster.version}, {cluster.nodes} nodes",
            f"namespace -> {self.namespace}, and one more for each stack; all are removed at the end",
            *self._knows(),
            *left,
            f"Secrets -> the values of {config.env_file}",
            f"image of the app -> {self._image}",
            f"gateway -> Caddy on {LOOPBACK}:{self.entry.https_port}, with the manifests' routes",
            f"its way to the Service -> through {objects.LINE_NAME}, a pod of the checks",
            "its certificate -> one of the test CA",
            f"database -> the sandbox's, on this machine; the pods reach it through {objects.LINE_NAME}",
            "files that a check changes -> over those of the image, from a ConfigMap",
        ]

    def _knows(self) -> list[str]:
        """Leave out what the cluster does not know; return a line for each."""
        unknown = [thing for thing in self._applied if self._place(thing) is None]
        self._applied = [thing for thing in self._applied if thing not in unknown]
        return [
            f"{named(thing)} -> not applied: the cluster knows no {thing.get('apiVersion')}"
            for thing in unknown
        ]

    def _place(self, thing: Object) -> str | None:
        """Return the path of an object in this namespace; None where the cluster knows no such kind."""
        version, kind = str(thing.get("apiVersion")), str(thing.get("kind"))
        known = self.copy.run.shared((version, kind), lambda: self._api.resource(version, kind))
        if known is None or not known.is_namespaced:
            return None
        return f"{known.path.format(f'namespaces/{self.namespace}/')}/{at(thing, 'metadata.name')}"

    def prepare(self, extra: Mapping[str, str] | None = None) -> None:
        """Make the namespace, and the line to it."""
        del extra
        if self._address:
            return
        labels = {"app.kubernetes.io/managed-by": "deploycheck", **self._label}
        self._api.post("/api/v1/namespaces", objects.namespace_of(self._found, self.namespace, labels))
        self._apply(objects.probe_files())
        if self._found.of_kind("NetworkPolicy"):
            self._apply(objects.line_policy(self._found))
        self._apply_when_possible(objects.line_pod(self._found, self._image))
        path = f"/api/v1/namespaces/{self.namespace}/pods/{objects.LINE_NAME}"
        pod = wait_for(lambda: self._api.get(path), _is_clear, deadline_s=LINE_DEADLINE_S, every_s=0.3)
        if not (address := _address_of(pod)):
            raise StackError(
                f"{self._image}: no pod of it comes up in {self._cluster.context}: {_why(pod)}; {IMAGE_OPTION} names "
                "an image that the cluster can pull"
            )
        self._folder = "".join(self._api.lines(f"{path}/log")).strip()
        self._address = address

    def _apply_when_possible(self, pod: Object) -> None:
        """Apply a pod: a new namespace refuses them until it has its default service account."""
        end = time.monotonic() + GONE_LATE_S
        while True:
            try:
                self._apply(pod)
            except StackError as error:
                if "serviceaccount" not in str(error) or time.monotonic() > end:
                    raise
                time.sleep(0.2)
            else:
                return

    def _apply(self, thing: Object) -> None:
        place = self._place(thing)
        assert place, named(thing)
        whole: Object = {**thing, "metadata": {**thing["metadata"], "namespace": self.namespace}}
        for _ in range(MOST_UNKNOWN):
            try:
                self._api.apply(place, whole)
            except StackError as error:
                unknown = UNKNOWN.search(str(error))
                if not unknown:
                    raise
                whole = objects.without(whole, unknown[1])
                self._tell(f"{named(thing)}: {unknown[1]} -> left out: the cluster does not know it")
            else:
                return

    def _tell(self, line: str) -> None:
        """Add a line to what was moved, once."""
        if line not in self.relocated:
            self.relocated.append(line)

    def start(
        self,
        extra: Mapping[str, str] | None = None,
        *,
        folder: Path = Path("/"),
        terminal: Terminal | None = None,
        command: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Apply what the copy holds, and return at once; nobody starts a pod in a terminal, nor with a shell."""
        del folder, terminal, command
        self.prepare()
        values = {**self.environment, **(extra or {})}
        file = self.copy.root / self.config.env_file
        read = dotenv_values(file, encoding="utf-8") if file.is_file() else {}
        secrets = {**{name: value or "" for name, value in read.items()}}
        setting = self.config.settings.get("database_url", "")
        if url := values.get(setting) or secrets.get(setting):
            secrets[setting] = self._through_the_line(url)
        self._replicas = self.starters = self._pods_for(values.get(self.config.settings.get("workers", "")))
        own = {
            name: value for name, value in values.items() if name in ("DEPLOYCHECK_BREAK", "DEPLOYCHECK_ONCE")
        }
        self._release = objects.Release(
            image=self._image,
            folder=self._folder,
            variables={"DEPLOYCHECK_ONCE": ",".join(self.config.once), **own},
            secrets={
                **secrets,
                **{name: values[name] for name in secrets if name in values and name != setting},
            },
            replicas=self._replicas,
        )
        self.pods.begin()
        self._front = self._open_the_line()
        self._roll()
        return self._front

    def _through_the_line(self, url: str) -> str:
        """Return an URL of the database as the pods reach it, and let the line lead there; what is none stays."""
        with contextlib.suppress(ValueError):
            parts = urlsplit(url)
            if parts.hostname and parts.port:
                self._target.write_text(f"{parts.hostname}:{parts.port}", encoding="ascii")
                user, at_sign, _ = parts.netloc.rpartition("@")
                return parts._replace(netloc=f"{user}{at_sign}{self._address}:{line.DATABASE_PORT}").geturl()
        return url

    def _pods_for(self, workers: str | None) -> int:
        """Return how many pods there must be for a number of workers; as many as the manifests say for none."""
        each = max(1, self.config.workers // self._cluster.pods)
        return -(-int(workers) // each) if workers and workers.isdecimal() else self._found.fewest

    def _open_the_line(self) -> subprocess.Popen[bytes]:
        """Start both ends of the line, and Caddy before it."""
        tag, _, events = self.copy.tag.partition("=")
        own = {**environment(self.copy.run), tag: events}
        if self._line is None or self._line.poll() is not None:
            ip, port = self._service()
            there = ["python3", "-E", "-s", "-S", "-u", f"{objects.PROBE}/line.py", "there", f"{ip}:{port}"]
            carrier = [*self._kubectl, "exec", "--stdin", objects.LINE_NAME, "--", *there]
            words = [
                sys.executable,
                "-I",
                line.__file__,
                "here",
                str(self._port),
                str(self._target),
                *carrier,
            ]
            with self.copy.log_file.open("ab") as log:
                self._line = self.copy.run.popen(words, env=own, stdout=log, stderr=log)
            if not wait_for(lambda: listener(self._port), bool, deadline_s=GONE_LATE_S):
                raise StackError(f"no line to {objects.LINE_NAME}: kubectl exec: {self.log_tail(2)}")
        if self._front is None or self._front.poll() is not None:
            self._front = self.copy.spawn(self._edge, self.environment)
        return self._front

    def _service(self) -> tuple[str, int]:
        """Make the Service that leads to the app; return its address."""
        for service in self._found.of_kind("Service"):
            if selects(at(service, "spec.selector", {}), self._found.labels):
                empty = objects.Release(image="", folder="", variables={}, secrets={}, replicas=0)
                made = objects.changed(service, self._found, empty, {})
                self._apply(made)
                place = self._place(made)
                ip = at(self._api.get(place or ""), "spec.clusterIP")
                return str(ip), int(service["spec"]["ports"][0]["port"])
        raise StackError(f"{self.config.manager_config}: no Service leads to {named(self._found.app)}")

    def _roll(self) -> None:
        """Apply everything, with the files of the copy as they are now."""
        release = self._release
        assert release
        files = objects.changed_files(self.copy.root, self.config.root, self.config.env_file)
        for secret in objects.secrets_of(self._found, release.secrets):
            self._apply(secret)
        if files:
            self._apply(objects.files_of(files))
        for thing in self._applied:
            self._apply(objects.changed(thing, self._found, release, files))

    def bring_release(self) -> None:
        """Let pods that run what the copy holds now take the place of the old ones, whether they come up or not."""
        self.stop_app()
        self.pods.begin()
        self._roll()
        wait_for(lambda: self.is_running() or self.app_has_failed(), bool, deadline_s=ROLLOUT_S)

    def call(
        self, command: str, extra: Mapping[str, str] | None = None, *, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> Finished:
        """Apply the manifests again, as a release does, and wait for the rollout; what else there is runs here."""
        if command != self.config.reload:
            return super().call(command, extra, timeout_s=timeout_s)
        self._roll()
        words = [*self._kubectl, "rollout", "status", f"deployment/{at(self._found.app, 'metadata.name')}"]
        done = subprocess.run(
            [*words, f"--timeout={max(timeout_s, ROLLOUT_S):.0f}s"],
            env=environment(self.copy.run),
            capture_output=True,
            text=True,
            check=False,
        )
        return Finished(command, done.returncode, done.stdout + done.stderr)

    def processes(self) -> Processes:
        """Return the processes of the app now. The pods' controller stands for the manager."""
        agents = self.pods.agents
        tree = frozenset(number for agent in agents for number in agent.tree)
        servers = frozenset(agent.first for agent in agents) & tree
        uid = at(self._api.get(self._place(self._found.app) or ""), "metadata.uid", "")
        return Processes(
            manager=crc32(uid.encode()),
            servers=servers,
            workers=tree & self.copy.events.pids("worker"),
            tree=tree,
        )

    def proxy_pids(self) -> frozenset[int]:
        """Return the processes of the edge now."""
        is_up = self._front is not None and self._front.poll() is None
        return with_descendants({self._front.pid}) if self._front and is_up else frozenset()

    def is_running(self) -> bool:
        """Tell whether all pods are ready, as kubelet says."""
        return self.pods.are_ready(self._replicas)

    def app_has_failed(self) -> bool:
        """Tell whether a container of a pod has failed."""
        return self.pods.have_failed()

    def has_given_up(self) -> bool:
        """Tell whether nothing will come: kubelet tries again and again, but for what it cannot start at all."""
        return self.pods.have_given_up()

    def log_tail(self, lines: int = 5, *, of_all_programs: bool = False) -> str:
        """Return the last lines of the logs, and why containers do not even start: nobody writes that down."""
        text = super().log_tail(lines, of_all_programs=of_all_programs)
        return "\n".join([text, *self.pods.complaints()])

    def state(self) -> str:
        """Return the states of the pods."""
        return self.pods.describe()

    def end(self) -> None:
        """End everything at once, without grace; the namespace and the line's pod stay."""
        for thing in self._applied:
            if thing.get("kind") in ("Deployment", "StatefulSet", "Job") and (place := self._place(thing)):
                self._api.delete(place)
        for pod in self.pods.all:
            path = f"/api/v1/namespaces/{self.namespace}/pods/{at(pod, 'metadata.name')}"
            self._api.delete(path, at_once=True)
        wait_for(lambda: self.pods.all, lambda pods: not pods, deadline_s=GONE_LATE_S)
        super().end()

    def stop_app(self) -> None:
        """Let the Deployment have no pods, and wait until they are gone."""
        self._scale(0)
        deadline_s = self.stop_grace_s + GONE_LATE_S
        wait_for(lambda: self.pods.all, lambda pods: not pods, deadline_s=deadline_s)

    def start_app(self) -> None:
        """Let it have as many as before, of what the copy holds now."""
        self._roll()

    def _scale(self, count: int) -> None:
        place = self._place(self._found.app)
        assert place
        self._api.patch(f"{place}/scale", {"spec": {"replicas": count}})

    def advice(self, check_id: str) -> list[Advice]:
        """Return where a failed check is usually mended; not at the edge, which is a stand-in."""
        own = [Advice(*ADVICE[check_id])] if check_id in ADVICE else []
        parts = (self.server, self.database)
        return [*own, *(part.ADVICE[check_id] for part in parts if check_id in part.ADVICE)]


def _address_of(pod: Object | None) -> str:
    is_up = any(at(status, "state.running") for status in at(pod, "status.containerStatuses", ()))
    return str(at(pod, "status.podIP", "")) if is_up else ""


def _is_clear(pod: Object | None) -> bool:
    """Tell whether a pod runs, or has no image."""
    waiting = [at(status, "state.waiting.reason") for status in at(pod, "status.containerStatuses", ())]
    return bool(_address_of(pod)) or any(
        reason in ("ImagePullBackOff", "InvalidImageName") for reason in waiting
    )


def _why(pod: Object | None) -> str:
    said = [
        *(at(status, "state.waiting.message") for status in at(pod, "status.containerStatuses", ())),
        *(
            item.get("message")
            for item in at(pod, "status.conditions", ())
            if item.get("reason") == "Unschedulable"
        ),
    ]
    return "; ".join(filter(None, said)) or "nobody says why"
