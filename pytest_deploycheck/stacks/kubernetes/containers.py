"""A pod of the rendered Deployment in podman's containers: only kubelet and the gateway have stand-ins."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.stacks.compose.images import Images, digest
from pytest_deploycheck.stacks.contained.stack import IMAGE
from pytest_deploycheck.stacks.kubernetes import podman
from pytest_deploycheck.stacks.kubernetes.stack import KubernetesStack

BUILD_TIMEOUT_S = 600.0
# What ends, whatever has ended the run: a pod and its volumes, and the images of the run.
REMOVE = """
pod=$0 images=$1
shift
"$@" pod rm --force --time 0 "$pod"
for volume in $("$@" volume ls --quiet --filter "name=$pod-"); do "$@" volume rm --force "$volume"; done
for image in $("$@" images --quiet --filter "reference=$images"); do "$@" image rm --force "$image"; done
"""


class PodmanStack(KubernetesStack):
    """A copy of the project, of which one pod runs in podman's containers; see the ``Stack`` protocol."""

    def __init__(
        self, copy: ProjectCopy, extra: Mapping[str, str] | None = None, *, acme: Acme | None = None
    ) -> None:
        self._pod = f"{copy.run.folder.name}-{copy.root.name}"
        self._images = f"localhost/deploycheck/{copy.run.folder.name}"
        self._extra: dict[str, str] = {}
        super().__init__(copy, extra, acme=acme)
        del self.environment["TMPDIR"]
        self._file = copy.root.with_suffix(".pod.yaml")
        remove = ("sh", "-c", f"({REMOVE}) >/dev/null 2>&1", self._pod, self._images)
        copy.run.at_the_end(*remove, *podman.words())

    def _memory_group(self) -> Path | None:
        """Leave the limit of memory to podman."""
        return None

    def unenforced_limit(self) -> str | None:
        """Return no limit: the kernel keeps it."""
        return None

    def contained_relocations(self) -> list[str]:
        """Return what is not as in a container of production, a line each."""
        return [
            f"container runtime -> podman {podman.version()}, which builds the image of {IMAGE} and runs it",
            "what podman drops or changes: probes, restarts, preStop, grace -> kubelet's stand-in keeps them",
            "sizeLimit of volumes -> not enforced by podman",
            "the pod's network -> this machine's",
            "runAsUser -> root without capabilities, who may write into the folder of the checks",
            *(f"the private networks in {name} -> {LOOPBACK}, where the edge is" for name in self._moved),
        ]

    def prepare(self, extra: Mapping[str, str] | None = None) -> None:
        """Build the image from the copy as it is now, if the run has none of this content yet, and write the pod."""
        image = f"{self._images}:{digest(self.copy.root, without=self.config.unversioned_files)}"
        command = podman.words(
            "build", "--format=docker", "--network=host", f"--file={IMAGE}", f"--tag={image}", "."
        )
        self.copy.run.shared("images", Images).build(
            image, lambda: self.copy.call(" ".join(command), timeout_s=BUILD_TIMEOUT_S)
        )
        variables = {
            "FORWARDED_ALLOW_IPS": "",
            **self.pod_variables(),
            **self.copy.environment({**self.environment, **(extra or {})}),
            "DEPLOYCHECK_PROC": podman.PROC,
        }
        documents = podman.pod_of(self._found, self.copy, self._pod, image=image, variables=variables)
        text = "\n---\n".join(json.dumps(document, indent=1) for document in documents)
        self._file.write_text(text, encoding="utf-8")

    def start(
        self,
        extra: Mapping[str, str] | None = None,
        *,
        folder: Path = Path("/"),
        terminal: Terminal | None = None,
        command: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Build what is in the copy, let the keeper release it, and return at once."""
        self._extra = dict(extra or {})
        self.prepare(self._extra)
        return super().start(extra, folder=folder, terminal=terminal, command=command)

    def start_app(self) -> None:
        """Let the keeper start a new pod of what the copy holds now."""
        self.prepare(self._extra)
        super().start_app()

    def _order(self) -> dict[str, Any]:
        """Return what the keeper is to do: to ask podman for it."""
        steps = (step["name"] for step in podman.steps_of(self._found, self.config))
        app = self._container(self._found.container["name"])
        return {
            **super()._order(),
            "container": podman.words("start", "--attach", app),
            "steps": [
                podman.words("kube", "play", "--replace", "--start=false", str(self._file)),
                *(podman.words("start", "--attach", self._container(step)) for step in steps),
            ],
            "runtime": {
                "pid_file": podman.words("inspect", "--format={{.PidFile}}", app),
                "oom": podman.words("inspect", "--format={{.State.OOMKilled}}", app),
            },
        }

    def _container(self, name: str) -> str:
        return f"{self._pod}-{name}"

    def _contained(self, line: str) -> list[str]:
        """Return the words that run a line in the app's container; none for no line."""
        if not line:
            return []
        return podman.words("exec", self._container(self._found.container["name"]), "sh", "-c", line)
