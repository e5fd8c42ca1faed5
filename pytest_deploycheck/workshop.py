"""Makes stacks, and runs experiments in the background."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import cached_property, partial
from typing import Any

from pytest_deploycheck import platforms
from pytest_deploycheck.check import Check
from pytest_deploycheck.config import Config
from pytest_deploycheck.databases import find
from pytest_deploycheck.experiments import Experiment, Lane, lane_of, with_used
from pytest_deploycheck.lanes import LaneThread
from pytest_deploycheck.outcome import Blocked, NotVerified
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.ports import PortTaken
from pytest_deploycheck.sandbox.run import Finished, ProjectCopy, Run
from pytest_deploycheck.stacks.protocol import Stack, StackError
from pytest_deploycheck.stacks.selection import folder_for_runs, has_containers, has_units, stack_for
from pytest_deploycheck.start import Start
from pytest_deploycheck.steady import SteadyStack

# For so long a lane leaves the CPU to another one, in seconds.
WAY_DEADLINE_S = 20.0


class Workshop:
    """Everything that the checks of one test run work with.

    Attributes:
        gentle: the stack for checks that do not hurt it.
        for_hangs, for_stops, for_late, for_leaks, rescaled: the stacks of five lanes of experiments, which do.
        lanes: the threads of the experiments.
    """

    def __init__(self, config: Config, choose: Callable[[Config], Callable[..., Stack]] = stack_for) -> None:
        self.config = config
        self._choose = choose
        self.gentle = SteadyStack(self.stack)
        self.for_hangs = SteadyStack(self.stack)
        self.for_stops = SteadyStack(self.stack)
        self.for_late = SteadyStack(self.stack)
        self.for_leaks = SteadyStack(self.stack)
        self.rescaled = SteadyStack(self.stack)
        self.lanes = {lane: LaneThread(lane.name) for lane in Lane}
        if config.cluster:
            # One stack at a time beside the gentle one: other people's pods are on the nodes too.
            self.lanes = {**dict.fromkeys(Lane, LaneThread("cluster")), Lane.ALONE: self.lanes[Lane.ALONE]}
        self._experiments: dict[Experiment, Future[Any]] = {}

    @cached_property
    def run(self) -> Run:
        """The run, made when the first stack is.

        Raises:
            NotVerified: nothing can be run on this system.
        """
        if not platforms.is_supported():
            raise NotVerified(platforms.refusal("this check"))
        return Run(self.config, parent=folder_for_runs(self.config))

    def stack(
        self,
        extra: Mapping[str, str] | None = None,
        *,
        copy: ProjectCopy | None = None,
        acme: Acme | None = None,
    ) -> Stack:
        """Make a stack of a copy of the project, not started yet.

        Args:
            extra: environment variables for the start command.
            copy: the copy to run; a new one by default.
            acme: where its certificates come from; None for a certificate of the run's CA.

        Raises:
            StackError: the project's files cannot be run at all.
            Blocked: a port is taken.
        """
        try:
            return self._choose(self.config)(copy or self.run.copy(), extra, acme=acme)
        except PortTaken as error:
            raise Blocked(str(error)) from None

    def commands_of(self, copy: ProjectCopy) -> tuple[Callable[..., Finished], dict[str, str]]:
        """Return what runs the project's commands in a copy that nobody starts, and variables that name its database.

        Containers need a stack around them, and it may bring the database.
        """
        if has_containers(self.config):
            stack = self.stack(copy=copy)
            stack.prepare()  # else each command would build the image, in its own time
            return stack.call, stack.database.environment(copy)
        return copy.call, find(self.config).environment(copy)

    @property
    def boots_machines(self) -> bool:
        """Whether to start a stack is to boot a machine."""
        return has_units(self.config)

    @property
    def first_start(self) -> Start:
        """The cold start of the gentle stack.

        Raises:
            StackError: the project's files cannot be run at all.
        """
        start = self.gentle.first_start
        if isinstance(start, StackError):
            raise start
        return start

    def begin(self, checks: list[Check]) -> None:
        """Begin the experiments of the selected checks, so that they are done when the checks ask."""
        _ = self.run
        experiments = with_used(check.experiment for check in checks if check.experiment)
        if not self.config.cluster:
            self._give_way(experiments, checks)
        for experiment in experiments:
            self._submit(experiment)

    def _give_way(self, experiments: list[Experiment], checks: list[Check]) -> None:
        """Let some lanes begin when another stack is up, or will not be: all at once they would all be late."""
        used = {lane_of(experiment) for experiment in experiments}
        # The first check that asks for the gentle stack starts it.
        gentle = self.gentle if any(check.experiment is None for check in checks) else None
        hangs = self.for_hangs if Lane.HANGS in used else None
        stops = self.for_stops if Lane.STOPS in used else None
        for lane, first in ((Lane.ISSUE, gentle), (Lane.STOPS, hangs or gentle), (Lane.OWN, stops or gentle)):
            if lane in used and first:
                self.lanes[lane].submit("give_way", partial(first.was_started.wait, WAY_DEADLINE_S))

    def result_of(self, experiment: Experiment) -> Any:
        """Return what an experiment has found; wait for it, or run it, if need be."""
        future = self._submit(experiment)
        if lane_of(experiment) is not Lane.ALONE and not future.done():
            self.gentle.steady()
        return future.result()

    def wait_for_quiet(self) -> None:
        """Wait until no experiment runs in the background, except for those that have calmed down."""
        for lane in self.lanes.values():
            lane.wait_for_quiet()

    def calm_down(self) -> None:
        """Say of the experiment that calls this that it only watches from now on: who needs quiet need not wait."""
        for lane in self.lanes.values():
            lane.calm_down()

    def _submit(self, experiment: Experiment) -> Future[Any]:
        if experiment not in self._experiments:
            thread = self.lanes[lane_of(experiment)]
            self._experiments[experiment] = thread.submit(experiment.__name__, lambda: experiment(self))
        return self._experiments[experiment]

    @property
    def has_run(self) -> bool:
        """Whether anything was ever to be started."""
        return "run" in self.__dict__

    @property
    def orphaned_cpu_s(self) -> float:
        """The CPU time of processes that nobody waited for, in seconds."""
        return self.run.orphaned_cpu_s if self.has_run else 0.0

    def close(self) -> None:
        """End everything that was started."""
        if self.has_run:
            self.run.close()
