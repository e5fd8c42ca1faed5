"""The pods of one namespace: watched from the first moment, with what they print and which processes they have."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Mapping
from typing import Any

from pytest_deploycheck.outcome import Blocked
from pytest_deploycheck.probes.inside.deploycheck_mark import EVENT
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.stacks.kubernetes.cluster.agents import Agent
from pytest_deploycheck.stacks.kubernetes.cluster.api import Api
from pytest_deploycheck.stacks.kubernetes.cluster.states import described, is_ready, is_running, statuses
from pytest_deploycheck.stacks.kubernetes.manifests import Object, at

# What a container does not come out of by itself, as long as nobody changes anything.
NO_IMAGE = ("ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
FINAL = (*NO_IMAGE, "CreateContainerConfigError")
AGAIN_S = 0.5


class Pods:
    """The pods of an app; see ``elsewhere.Watcher``."""

    def __init__(
        self,
        api: Api,
        copy: ProjectCopy,
        namespace: str,
        *,
        labels: Mapping[str, str],
        app: str,
        kubectl: list[str],
    ) -> None:
        """Watch from now on.

        Args:
            api: the cluster.
            copy: whose pods they are; what they print, and the probe's events, are written beside it.
            namespace: where they are.
            labels: theirs.
            app: the name of the container that serves.
            kubectl: the command line that reaches the namespace.
        """
        self._api, self._copy, self._namespace, self._labels = api, copy, namespace, labels
        self._app, self._kubectl = app, kubectl
        self._pods: dict[str, Object] = {}
        self._agents: dict[str, Agent] = {}
        self._followed: set[str] = set()
        self._read_out: set[str] = set()
        self._lines: set[str] = set()
        self._lock = threading.Lock()
        self._ended_before: frozenset[str] = frozenset()
        threading.Thread(target=self._watch, name=f"pods-{namespace}", daemon=True).start()

    @property
    def _path(self) -> str:
        return f"/api/v1/namespaces/{self._namespace}/pods"

    # What the API says.

    def _watch(self) -> None:
        while not self._copy.run.is_closed:
            with self._lock:
                self._pods.clear()  # what is there is told first
            with contextlib.suppress(OSError, http.client.HTTPException):
                for event in self._api.watch(self._path):
                    self._take(event)
            time.sleep(AGAIN_S)

    def _take(self, event: dict[str, Any]) -> None:
        pod = event.get("object") or {}
        name, labels = at(pod, "metadata.name"), at(pod, "metadata.labels", {})
        if not name or not self._labels.items() <= labels.items():
            return
        with self._lock:
            if event["type"] == "DELETED":
                self._pods.pop(name, None)
            else:
                self._pods[name] = pod
        for status in statuses(pod):
            identity = status.get("containerID")
            if identity and identity not in self._followed:
                self._followed.add(identity)
                self._follow(name, status)
        self._accompany(pod)

    @property
    def all(self) -> list[Object]:
        """All pods of the app that are there, those too that are about to go."""
        with self._lock:
            return list(self._pods.values())

    @property
    def staying(self) -> list[Object]:
        """Those that nobody has told to go."""
        return [pod for pod in self.all if not at(pod, "metadata.deletionTimestamp")]

    def are_ready(self, count: int) -> bool:
        """Tell whether there are so many pods, all of them ready, and no others."""
        return len(self.all) == len(self.staying) == count and all(map(is_ready, self.staying))

    def are_stopped(self) -> bool:
        """Tell whether all containers have ended for good: the API lists their pods for a while after that."""
        return not self.staying and not any(map(is_running, self.all))

    @property
    def addresses(self) -> list[str]:
        """Where those listen that are ready, by their pods' names."""
        found = {
            str(at(pod, "metadata.name")): str(at(pod, "status.podIP"))
            for pod in self.staying
            if is_ready(pod)
        }
        return [address for _, address in sorted(found.items())]

    def begin(self) -> None:
        """Forget what has ended up to now: it says nothing of what is started next."""
        self._ended_before = frozenset(self._ends())

    def have_failed(self) -> bool:
        """Tell whether a container has ended that should run, or with an error, or does not come up."""
        return bool(self._ends() - self._ended_before) or self.have_given_up()

    def have_given_up(self) -> bool:
        """Tell whether a container cannot be started at all, such as one whose image cannot be pulled."""
        return any(
            at(status, "state.waiting.reason") in FINAL for pod in self.staying for status in statuses(pod)
        )

    def complaints(self) -> list[str]:
        """Return why containers do not start, a line each."""
        found = [
            f"{at(pod, 'metadata.name')}: {status['name']}: {waiting.get('reason')}: {waiting.get('message')}"
            for pod in self.staying
            for status in statuses(pod)
            if (waiting := at(status, "state.waiting")) and waiting.get("message")
        ]
        return [" ".join(line.split()) for line in found]

    def _ends(self) -> set[str]:
        """Return which containers have ended that should not have, once what they have printed is here."""
        found = set()
        for pod in self.staying:
            for status in statuses(pod):
                for when in ("state", "lastState"):
                    end = at(status, f"{when}.terminated")
                    is_wrong = end and (end.get("exitCode") or status["name"] == self._app)
                    if is_wrong and end.get("containerID") in self._read_out:
                        found.add(f"{end.get('containerID')} {end.get('finishedAt')}")
        return found

    def describe(self) -> str:
        """Return the states of all pods."""
        return "; ".join(map(described, self.all)) or "there are no pods"

    # What the containers print.

    def _follow(self, pod: str, status: Object) -> None:
        threading.Thread(target=self._read, args=(pod, status), name=f"log-{pod}", daemon=True).start()

    def _read(self, pod: str, status: Object) -> None:
        """Write what a container prints to the copy's log, and what the probe says to its events."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            query = {"container": status["name"], "follow": "true"}
            for line in self._api.lines(f"{self._path}/{pod}/log", **query):
                self._write(line)
        self._read_out.add(status["containerID"])

    def _write(self, line: str) -> None:
        before, is_event, event = line.partition(EVENT)
        with self._lock:
            if not is_event:
                file, text = self._copy.log_file, line
            elif event in self._lines:
                return
            else:
                self._lines.add(event)
                record = json.loads(event)
                record["t"] += time.monotonic() - time.time()
                file, text = self._copy.events.file, f"{json.dumps(record)}\n"
            with contextlib.suppress(FileNotFoundError), file.open("a", encoding="utf-8") as out:
                out.write(text)
        if before and is_event:
            self._write(f"{before}\n")

    # Which processes they have.

    def _accompany(self, pod: Object) -> None:
        """Let an agent look at the app's container, if it runs and has none; one may come too early."""
        for status in statuses(pod):
            if status["name"] != self._app or not at(status, "state.running"):
                continue
            # In this order, as everywhere: the run's lock, and then this one.
            with contextlib.suppress(Blocked), self._copy.run.kept_open(), self._lock:
                kept = self._agents.get(status["containerID"])
                if kept is None or (kept.has_ended and time.monotonic() > kept.began + AGAIN_S):
                    agent = Agent(self._copy.run, self._kubectl, at(pod, "metadata.name"), self._app)
                    self._agents[status["containerID"]] = agent

    @property
    def agents(self) -> list[Agent]:
        """Those of the containers that run."""
        for pod in self.all:
            self._accompany(pod)
        return [agent for agent in list(self._agents.values()) if agent.first and not agent.has_ended]

    def _agent_of(self, number: int) -> Agent | None:
        return next((agent for agent in list(self._agents.values()) if agent.knows(number)), None)

    def knows(self, number: int) -> bool:
        """Tell whether a process is, or was, in one of these pods."""
        return self._agent_of(number) is not None

    def lives(self, number: int) -> bool:
        """Tell whether it runs."""
        agent = self._agent_of(number)
        return agent is not None and number in agent.tree

    def command_line(self, number: int) -> str:
        """Return its command line, with the pod's name."""
        agent = self._agent_of(number)
        return agent.command_line(number) if agent else ""

    def place(self, number: int) -> str:
        """Return its pod, in which one container serves."""
        agent = self._agent_of(number)
        return f"{self._namespace}/{agent.pod}" if agent else ""

    def read(self, number: int, path: str) -> str:
        """Return the text of a file of its container.

        Raises:
            ProcessLookupError: it is gone.
        """
        if agent := self._agent_of(number):
            return agent.read(number, path)
        raise ProcessLookupError

    def links(self, number: int, folder: str) -> list[str]:
        """Return where the links in a folder of its container lead.

        Raises:
            ProcessLookupError: it is gone.
        """
        if agent := self._agent_of(number):
            return agent.links(number, folder)
        raise ProcessLookupError

    def signal(self, number: int, signal: int) -> None:
        """Send it a signal."""
        if agent := self._agent_of(number):
            agent.signal(number, signal)
