"""Makes stacks, keeps two of them steady for all checks that share them, and runs experiments in the background."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import cached_property
from typing import Any

from pytest_deploycheck import platforms
from pytest_deploycheck.check import Check
from pytest_deploycheck.config import Config
from pytest_deploycheck.databases import find
from pytest_deploycheck.experiments import Experiment, Lane, is_calm, lane_of, with_used
from pytest_deploycheck.lanes import LaneThread
from pytest_deploycheck.outcome import Blocked, NotVerified
from pytest_deploycheck.probes.answer import is_good
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.ports import PortTaken
from pytest_deploycheck.sandbox.run import Finished, ProjectCopy, Run
from pytest_deploycheck.stacks.protocol import Stack, StackError
from pytest_deploycheck.stacks.selection import folder_for_runs, has_containers, has_units, stack_for
from pytest_deploycheck.start import Start, start_and_watch

# For so long a lane leaves the CPU to another one, in seconds.
WAY_DEADLINE_S = 60.0


class SteadyStack:
    """A stack that is found in its steady state by each who asks for it, whatever the one before did to it.

    Checks and an experiment may ask at the same time: one of them waits for the other.
    """

    def __init__(self, make: Callable[[], Stack], *, ask_manager: bool) -> None:
        """``ask_manager``: steady only when the manager says that all runs, which can take it some seconds."""
        self._make = make
        self._ask_manager = ask_manager
        self._first_start: Start | StackError | None = None
        self._usual_workers: int | None = None
        self.current: Stack | None = None
        self.was_started = threading.Event()
        self._lock = threading.RLock()

    @property
    def first_start(self) -> Start | StackError:
        """What was seen at its first start, on an empty database; an error if its files cannot be run at all.

        No ``cached_property``: before Python 3.12 one of them blocks those of all other stacks too.
        """
        with self._lock:
            try:
                self._first_start = self._first_start or self._start()
                return self._first_start
            finally:
                self.was_started.set()

    @property
    def start_so_far(self) -> Start | None:
        """What is known of the first start, for who must neither wait for it nor begin it."""
        return self._first_start if isinstance(self._first_start, Start) else None

    def _start(self) -> Start | StackError:
        try:
            self.current = self._make()
            return start_and_watch(self.current)
        except StackError as error:
            return error

    def adopt(self, start: Start) -> None:
        """Take over a stack that an experiment has started and needs no more; its start is then the first one.

        One that does not serve is ended, and who asks gets a new one.
        """
        if not start.served:
            end(start.stack)
            return
        with self._lock:
            self.end()
            self._first_start = start
            self.current = start.stack

    def end(self) -> None:
        """End the stack; who asks after that gets a new one."""
        with self._lock:
            if self.current is not None:
                end(self.current)
                self.current = None

    def steady(self, *, ask_manager: bool | None = None) -> Stack:
        """Return the stack, running with all workers; start a new one if it does not come back by itself.

        Args:
            ask_manager: whether it must be steady for the manager too; by default as for all who share it.

        Raises:
            Blocked: it does not start.
        """
        with self._lock:
            return self._steady(ask_manager=self._ask_manager if ask_manager is None else ask_manager)

    def _steady(self, *, ask_manager: bool) -> Stack:
        if isinstance(self.first_start, StackError):
            raise Blocked(f"the stack cannot be run (see BOOT002): {self.first_start}")
        self.first_start.must_serve()
        if self._usual_workers is None:
            self._settle(self.first_start.stack, ask_manager=ask_manager)
        elif self.current is None or not self._comes_back(ask_manager=ask_manager):
            self._replace(ask_manager=ask_manager)
        assert self.current is not None
        return self.current

    def _settle(self, stack: Stack, *, ask_manager: bool) -> None:
        """Wait for all workers after the first start; where fewer come than promised (REP001), those are usual."""
        self._usual_workers = stack.config.workers
        if not self._comes_back(ask_manager=ask_manager):
            self._usual_workers = min(stack.config.workers, len(stack.processes().workers))

    def _replace(self, *, ask_manager: bool) -> None:
        self.end()
        stack = self._make()
        start = start_and_watch(stack)
        if not start.served:
            raise Blocked(f"the stack does not start again: {start.describe()}")
        self.current = stack
        self._comes_back(ask_manager=ask_manager)

    @property
    def patience_s(self) -> float:
        """How long to wait for this stack to recover from a blow, in seconds."""
        assert isinstance(self.first_start, Start)
        return self.first_start.patience_s

    def _comes_back(self, *, ask_manager: bool) -> bool:
        def settled() -> bool:
            return self._is_steady(ask_manager=ask_manager) or self._is_final()

        return wait_for(settled, bool, deadline_s=self.patience_s, every_s=0.1) and not self._is_final()

    def _is_final(self) -> bool:
        """Tell whether it has ended, and there is no manager that could start it again."""
        stack = self.current
        return stack is not None and stack.has_given_up() and not stack.processes().manager

    def _is_steady(self, *, ask_manager: bool) -> bool:
        stack = self.current
        assert stack is not None
        return (
            (not ask_manager or stack.is_running())
            and len(stack.processes().workers) >= (self._usual_workers or 0)
            and is_good(stack.entry.status(stack.config.requests.ready, timeout_s=2))
        )


def end(stack: Stack) -> None:
    """SIGKILL all processes of one stack."""
    stack.end()


class Workshop:
    """Everything that the checks of one test run work with.

    Attributes:
        gentle: the stack for checks that do not hurt it.
        for_kills, for_stops, for_late, for_leaks, rescaled: the stacks of five lanes of experiments, which do.
        lanes: the threads of the experiments.
    """

    def __init__(self, config: Config, choose: Callable[[Config], Callable[..., Stack]] = stack_for) -> None:
        self.config = config
        self._choose = choose
        self.gentle = SteadyStack(self.stack, ask_manager=False)
        self.for_kills = SteadyStack(self.stack, ask_manager=True)
        self.for_stops = SteadyStack(self.stack, ask_manager=False)
        self.for_late = SteadyStack(self.stack, ask_manager=False)
        self.for_leaks = SteadyStack(self.stack, ask_manager=False)
        self.rescaled = SteadyStack(self.stack, ask_manager=True)
        self.lanes = {lane: LaneThread(lane.name) for lane in Lane}
        if (
            config.cluster
        ):  # one stack at a time beside the gentle one: other people's pods are on the nodes too
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
        if Lane.OWN in map(lane_of, experiments) and not self.config.cluster:
            kills = [experiment for experiment in experiments if lane_of(experiment) is Lane.KILLS]
            self.lanes[Lane.OWN].submit("give_way", lambda: self._let_start(self.for_kills, kills))
        for experiment in experiments:
            self._submit(experiment)

    def _let_start(self, stack: SteadyStack, users: list[Experiment]) -> None:
        """Leave the CPU to a stack that has more to do, until it is up, or nobody needs it any more."""

        def is_over() -> bool:
            return all(user in self._experiments and self._experiments[user].done() for user in users)

        wait_for(lambda: stack.was_started.is_set() or is_over(), bool, deadline_s=WAY_DEADLINE_S)

    def result_of(self, experiment: Experiment) -> Any:
        """Return what an experiment has found; wait for it, or run it, if need be."""
        future = self._submit(experiment)
        if lane_of(experiment) is not Lane.ALONE and not future.done():
            self.gentle.steady()
        return future.result()

    def wait_for_quiet(self) -> None:
        """Wait until no experiment runs in the background, except for calm ones."""
        for experiment, future in list(self._experiments.items()):
            if not is_calm(experiment):
                future.exception()

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
