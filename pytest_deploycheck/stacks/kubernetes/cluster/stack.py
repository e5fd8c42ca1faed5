"""A copy of the project in a cluster: its manifests applied in a namespace of its own, and a line to it from here."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from dotenv import dotenv_values

from pytest_deploycheck.advice import Advice, found_in
from pytest_deploycheck.probes import elsewhere
from pytest_deploycheck.probes.processes import Processes, with_descendants
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import COMMAND_TIMEOUT_S, Finished, ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.stacks.base import BaseStack
from pytest_deploycheck.stacks.contained.edge import caddyfile, edge_command
from pytest_deploycheck.stacks.kubernetes.cluster import objects
from pytest_deploycheck.stacks.kubernetes.cluster.access import Cluster
from pytest_deploycheck.stacks.kubernetes.cluster.api import Api, environment
from pytest_deploycheck.stacks.kubernetes.cluster.crowd import CrowdOfPod
from pytest_deploycheck.stacks.kubernetes.cluster.namespace import Namespace
from pytest_deploycheck.stacks.kubernetes.cluster.pods import Pods
from pytest_deploycheck.stacks.kubernetes.cluster.wire import ThroughTheLine, Wire
from pytest_deploycheck.stacks.kubernetes.gateway import routes_for_caddy
from pytest_deploycheck.stacks.kubernetes.manifests import Manifests, at, named, render, selects
from pytest_deploycheck.stacks.kubernetes.rollout import seconds_of
from pytest_deploycheck.stacks.kubernetes.stack import ADVICE
from pytest_deploycheck.stacks.kubernetes.terms import terms_of
from pytest_deploycheck.stacks.protocol import StackError

START_GRACE_S = 1.0
GONE_LATE_S = 20.0
# One pod after the other comes up, and the one before it goes, each with its grace.
ROLLOUT_S = 240.0
# What a check gives the pods at a start, beside the settings of the project.
OF_CHECKS = ("DEPLOYCHECK_BREAK",)


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


class ClusterStack(BaseStack):
    """See the ``Stack`` protocol. What no check changes is made once, by ``prepare``: the namespace, and the line."""

    NAME = "kubernetes"
    IN_CONTAINERS = True
    edge_stands_in = True
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
        terms = terms_of(found, config)
        self._api = Api.of(run, cluster)
        kubeconfig = cluster.kubeconfig(run)
        self.namespace = Namespace(self._api, run, kubeconfig, number=copy.root.name)
        self._kubectl = ["kubectl", f"--kubeconfig={kubeconfig}", f"--namespace={self.namespace.name}"]
        edge = edge_command(copy, caddyfile(config.domain, terms.port, routes_for_caddy(found)))
        server = terms.command.server_line or terms.command.line
        self.find_parts({"app": server, "edge": edge}, kind="command")
        self._edge = self.relocate_proxy(edge)
        (self._port,) = self.app_ports.values()
        self.parts["proxy"] = "gateway"
        self.log_keeper = "the kubelet"
        self.start_grace_s, self.stop_grace_s = START_GRACE_S, float(terms.stop_grace_s)
        self.stop_delay_s = float(seconds_of(at(found.container, "lifecycle.preStop", {})))
        self.starters = found.fewest
        self._release: objects.Release | None = None
        self._front: subprocess.Popen[bytes] | None = None
        self._image = cluster.image or str(found.container.get("image"))
        self.pods = Pods(
            self._api,
            copy,
            self.namespace.name,
            labels=found.labels,
            app=str(found.container["name"]),
            kubectl=self._kubectl,
        )
        elsewhere.watch(self.pods)
        self.copy = PodsCopy(run, copy.root, self.pods)
        self._wire = Wire(self._api, self.copy, self.namespace, self._kubectl)
        self.upstream = ThroughTheLine(
            self.upstream.address, to_pods=lambda: self._wire.to_pods(self.pods.addresses, terms.port)
        )
        self.crowd = CrowdOfPod(
            stack=self,
            wire=self._wire,
            pods=lambda: [f"{address}:{terms.port}" for address in self.pods.addresses],
        )
        applied, left = objects.sorted_out(found, config)
        self._applied = self.namespace.known(applied)
        self.relocated = [
            f"cluster -> {cluster.context}, Kubernetes {cluster.version}, {cluster.nodes} nodes",
            f"namespace -> {self.namespace.name}, and one more for each stack; all are removed at the end",
            *self.namespace.told,
            *left,
            f"Secrets -> the values of {config.env_file}",
            f"image of the app -> {self._image}",
            f"gateway -> Caddy on {LOOPBACK}:{self.entry.https_port}, with the manifests' routes",
            f"its way to the Service -> through {objects.LINE_NAME}, a pod of the checks",
            "its certificate -> one of the test CA",
            f"database -> the sandbox's, on this machine; the pods reach it through {objects.LINE_NAME}",
            "files that a check changes -> over those of the image, from a ConfigMap",
        ]

    def prepare(self, extra: Mapping[str, str] | None = None) -> None:
        """Make the namespace, and the pod at the other end of the line."""
        del extra
        if not self._wire.address:
            self.namespace.make(self._found)
            self._wire.make(self._found, self._image)

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
        file, setting = self.copy.root / self.config.env_file, self.config.settings.get("database_url", "")
        read = dotenv_values(file, encoding="utf-8") if file.is_file() else {}
        secrets = {name: values.get(name, value or "") for name, value in read.items()}
        if setting in secrets:
            secrets[setting] = self._wire.through(secrets[setting])
        self.starters = self._pods_for(values.get(self.config.settings.get("workers", "")))
        self._release = objects.Release(
            image=self._image,
            folder=self._wire.folder,
            variables={
                "DEPLOYCHECK_ONCE": ",".join(self.config.once),
                **{name: values[name] for name in OF_CHECKS if name in values},
            },
            secrets=secrets,
            replicas=self.starters,
        )
        self.pods.begin()
        self._wire.open(self._port, self._service())
        if self._front is None or self._front.poll() is not None:
            self._front = self.copy.spawn(self._edge, self.environment)
        self._roll()
        return self._front

    def _pods_for(self, workers: str | None) -> int:
        """Return how many pods there must be for a number of workers; as many as the manifests say for none."""
        each = max(1, self.config.workers // self._cluster.pods)
        return -(-int(workers) // each) if workers and workers.isdecimal() else self._found.fewest

    def _service(self) -> tuple[str, int]:
        """Make the Service that leads to the app; return its address."""
        for service in self._found.of_kind("Service"):
            if selects(at(service, "spec.selector", {}), self._found.labels):
                assert self._release
                made = objects.changed(service, self._found, self._release, {})
                self.namespace.apply(made)
                address = at(self._api.get(self.namespace.path(made) or ""), "spec.clusterIP")
                return str(address), int(service["spec"]["ports"][0]["port"])
        raise StackError(f"{self.config.manager_config}: no Service leads to {named(self._found.app)}")

    def _roll(self) -> None:
        """Apply everything, with the files of the copy as they are now."""
        release = self._release
        assert release
        files = objects.changed_files(self.copy.root, self.config.root, self.config.env_file)
        for secret in objects.secrets_of(self._found, release.secrets):
            self.namespace.apply(secret)
        if files:
            self.namespace.apply(objects.files_of(files))
        for thing in self._applied:
            self.namespace.apply(objects.changed(thing, self._found, release, files))
        self.relocated += [line for line in self.namespace.told if line not in self.relocated]

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
        uid = at(self._api.get(self.namespace.path(self._found.app) or ""), "metadata.uid", "")
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

    def carriers(self) -> frozenset[int]:
        """Return this end of the line, and kubectl."""
        return self._wire.processes()

    def is_running(self) -> bool:
        """Tell whether all pods are ready, as kubelet says."""
        return self.pods.are_ready(self.starters)

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
            if thing.get("kind") in ("Deployment", "StatefulSet", "Job") and (
                place := self.namespace.path(thing)
            ):
                self._api.delete(place)
        for pod in self.pods.all:
            self._api.delete(self.namespace.pod(at(pod, "metadata.name")), at_once=True)
        wait_for(lambda: self.pods.all, lambda pods: not pods, deadline_s=GONE_LATE_S)
        super().end()

    def stop_app(self) -> None:
        """Let the Deployment have no pods, and wait until their containers have ended, as kubelet says."""
        self._scale(0)
        wait_for(self.pods.are_stopped, bool, deadline_s=self.stop_grace_s + GONE_LATE_S)

    def start_app(self) -> None:
        """Let it have as many as before, of what the copy holds now."""
        self._roll()

    def _scale(self, count: int) -> None:
        place = self.namespace.path(self._found.app)
        assert place
        self._api.patch(f"{place}/scale", {"spec": {"replicas": count}})

    def advice(self, check_id: str) -> list[Advice]:
        """Return where a failed check is usually mended; not at the edge, which is a stand-in."""
        return found_in(check_id, ADVICE, self.server_advice, self.database.ADVICE)
