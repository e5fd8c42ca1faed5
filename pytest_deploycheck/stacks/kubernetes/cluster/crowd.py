"""Many requests at once that begin and end in the cluster: this machine's clock sees no pod's time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pytest_deploycheck.probes.answer import Answer
from pytest_deploycheck.probes.health import CALM, UnderLoad, forwarded
from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.probes.traffic import TimeLine
from pytest_deploycheck.stacks.kubernetes.cluster.wire import Wire
from pytest_deploycheck.stacks.protocol import Stack

# Beside the slow requests themselves.
PATIENCE_S = 60.0


@dataclass(frozen=True, kw_only=True)
class CrowdOfPod:
    """The pod at the other end of the line sends them; ``inside/crowd.py`` does so.

    Attributes:
        pods: returns the address of each pod that is ready, with its port.
    """

    stack: Stack
    wire: Wire
    pods: Callable[[], list[str]]

    def __call__(self, path: str, *, count: int, timeout_s: float) -> UnderLoad:
        """See ``health_under_load``.

        Raises:
            NotVerified: the pod does not say what it saw.
        """
        order = {
            "service": self.wire.service,
            "pods": self.pods(),
            "headers": forwarded(self.stack),
            "heavy": path,
            "health": self.stack.config.requests.live,
            "who": f"{MARK}echo",
            "workers": sorted(self.stack.processes().workers),
            "calm": CALM,
            "count": count,
            "timeout_s": timeout_s,
        }
        said = self.wire.run("crowd.py", order, timeout_s=timeout_s + PATIENCE_S)
        shift = time.monotonic() - said["now"]

        def answers(rows: Iterable[tuple[float, float, int | str]]) -> TimeLine:
            return TimeLine(tuple(Answer(start + shift, end + shift, status) for start, end, status in rows))

        return UnderLoad.between(
            said["began"] + shift,
            said["ended"] + shift,
            alone=answers(said["alone"]).answers,
            heavy=answers(said["heavy"]),
            health=answers(said["health"]),
            by_worker={int(pid): answers(rows) for pid, rows in said["by_worker"].items()},
            afterwards=answers([said["afterwards"]]).answers[0],
        )
