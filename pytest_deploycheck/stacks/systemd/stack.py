"""systemd: the project's units, on a machine that is booted. https://www.freedesktop.org/software/systemd/man/."""

from __future__ import annotations

import contextlib
import shlex
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.probes.processes import Processes, with_descendants
from pytest_deploycheck.probes.units import Unit, all_units, settings_of, template_of
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.guardian import environment_of, parent_of
from pytest_deploycheck.sandbox.machine import Machine, require_machines
from pytest_deploycheck.sandbox.run import COMMAND_TIMEOUT_S, Finished, ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.stacks.base import BaseStack
from pytest_deploycheck.stacks.protocol import StackError
from pytest_deploycheck.stacks.systemd import journal
from pytest_deploycheck.stacks.systemd.advice import advice_of
from pytest_deploycheck.stacks.systemd.drop_ins import DropIns, shown_to_units

STATE = ("ActiveState", "SubState", "Result")
# Who pulls a unit in; nobody, if all are empty.
PULLED_IN_BY = ("WantedBy", "RequiredBy", "UpheldBy", "BoundBy", "TriggeredBy", "ConsistsOf")
USUAL_START_S = USUAL_STOP_S = 90.0
LONGEST_STOP_S = 300.0
SHOW_DEADLINE_S = 10.0
LONGEST_TRIED_START_S = 5.0
BOOT_DEADLINE_S = 20.0


class SystemdStack(BaseStack):
    """A copy of the project on a machine of its own; see the ``Stack`` protocol.

    Its own command for enabling installs the units; drop-ins beside them move what only production has.
    """

    NAME = "systemd"

    def __init__(
        self, copy: ProjectCopy, extra: Mapping[str, str] | None = None, *, acme: Acme | None = None
    ) -> None:
        require_machines(copy.root / ".venv")
        super().__init__(copy, extra, acme=acme)
        self._machine = Machine(copy)
        self._machine.make()
        self.log_keeper = "journald"
        self._process: subprocess.Popen[bytes] | None = None
        self._units = self._installed()
        services = {name: unit.commands("ExecStart") for name, unit in self._units.items()}
        commands = {name: lines[-1] for name, lines in services.items() if lines}
        app, proxy = self.find_parts(commands, kind="unit")
        assert proxy, "a unit without a proxy is run as a command alone"
        self._proxy = proxy
        # What timers start is beside the deployment: when it fails, it is tried again at the next time.
        self._timers = {
            name: settings.get(("Timer", "Unit"), [f"{name.removesuffix('.timer')}.service"])[-1]
            for name, settings in settings_of(self._machine.root, ".timer").items()
        }
        # One unit, or each instance of a template.
        self._apps = [name for name in self._units if template_of(name) == template_of(app)]
        # So long a start may take in any case: a migration that takes longer must not be ended (PRE009).
        limits = [unit.seconds("TimeoutStartSec", USUAL_START_S) for unit in self._units.values()]
        self.start_grace_s = min([LONGEST_TRIED_START_S, *limits])
        self.stop_grace_s = min(LONGEST_STOP_S, self._units[app].seconds("TimeoutStopSec", USUAL_STOP_S))
        self._relocate(commands[self._proxy])

    def _installed(self) -> dict[str, Unit]:
        """Let the project's own command install its units on the machine, and read them.

        Raises:
            StackError: it does not.
        """
        enable = self.config.enable
        if enable is None:
            raise StackError(
                "[tool.deploycheck] enable is missing: name the command that installs the units and enables them"
            )
        self.enabled = self.copy.call(enable, {"DESTDIR": str(self._machine.root)})
        if self.enabled.status != 0:
            raise StackError(f"{enable} ended with {self.enabled.status}: {self.enabled.tail(3)}")
        units = all_units(self._machine.root)
        if not units:
            raise StackError(f"{enable} has written no unit below DESTDIR: {self.enabled.tail(3)}")
        return units

    def _relocate(self, command: str) -> None:
        """Write drop-ins for what only production has: users, the public ports."""
        moved = self.relocate_proxy(command)
        self._machine.show_journals({unit.last("LogNamespace") for unit in self._units.values()})
        drop_ins = DropIns(self._machine.root, self.copy, self._proxy)
        for name, unit in self._units.items():
            drop_ins.write_service(name, unit, moved)
        drop_ins.write_sockets(self.app_ports)
        if shown := shown_to_units(self.copy):
            names = ", ".join(map(str, shown))
            drop_ins.moved.append(f"{names} -> to be seen by the units, in spite of PrivateTmp=")
        where = self.copy.run.folder.parent
        self.relocated.insert(
            0, f"project -> a copy in {where}, on a machine of its own, which systemd boots"
        )
        self.relocated += drop_ins.moved

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where its files are, and the machine's journal."""
        return (self.copy.root, self._machine.root / "var/log")

    def start(
        self,
        extra: Mapping[str, str] | None = None,
        *,
        folder: Path = Path("/"),
        terminal: Terminal | None = None,
        command: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Boot the machine and return at once. What its start does not start, ``systemctl start`` starts.

        In a terminal only that command can be typed; a machine that boots has none.
        """
        del folder, command
        environment = {**self.environment, **(extra or {})}
        self._process = self._machine.boot(environment, shown_to_units(self.copy))
        threading.Thread(target=self._type, args=(terminal,), daemon=True).start()
        return self._process

    def _type(self, terminal: Terminal | None) -> None:
        """Type what a user has to, once the machine is up: nothing, if its start pulls in app and proxy."""
        if not wait_for(self._properties, bool, deadline_s=BOOT_DEADLINE_S):
            return
        shown = self._show(*PULLED_IN_BY)
        wanted = (*self._apps, self._proxy)
        forgotten = [name for name in wanted if name in shown and not any(shown[name].values())]
        command = ["systemctl", "start", "--no-block", *forgotten]
        if forgotten:
            self.typed.append(shlex.join(command))
        if forgotten or terminal:
            argv = self._inside(command if forgotten else ["systemctl", "start", *wanted])
            with contextlib.suppress(OSError):
                self.copy.spawn(shlex.join(argv), terminal=terminal)

    @property
    def _pid(self) -> int:
        """The pid, here, of the machine's first process; 0 where it is down."""
        return self._machine.first_pid(self._process) if self._process else 0

    def _inside(self, argv: list[str]) -> list[str]:
        return self._machine.inside(self._pid, argv)

    def call(
        self, command: str, extra: Mapping[str, str] | None = None, *, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> Finished:
        """Run one of the project's commands on the machine, in the project's folder."""
        argv = ["/bin/sh", "-c", 'cd "$0" && exec "$@"', str(self.copy.root), *self.copy.argv(command)]
        done = self.copy.call(
            shlex.join(self._inside(argv)), {**self.environment, **(extra or {})}, timeout_s=timeout_s
        )
        return Finished(command, done.status, done.output)

    def _show(self, *properties: str, units: Iterable[str] = ()) -> dict[str, dict[str, str]]:
        """Return what systemd says of the project's services, or of some units; nothing where it does not answer."""
        argv = ["systemctl", "show", "--property", ",".join(("Id", *properties)), *(units or self._units)]
        said = ""
        with contextlib.suppress(subprocess.TimeoutExpired):
            said = subprocess.run(
                self._inside(argv), capture_output=True, text=True, check=False, timeout=SHOW_DEADLINE_S
            ).stdout
        found = {}
        for paragraph in said.split("\n\n"):
            values = dict(line.split("=", 1) for line in paragraph.splitlines() if "=" in line)
            if name := values.pop("Id", ""):
                found[name] = values
        return found

    def _properties(self) -> dict[str, dict[str, str]]:
        return self._show(*STATE) if self._pid else {}

    def processes(self) -> Processes:
        """Return the processes of the app now. Those that systemd itself has started in its unit are the servers."""
        manager = self._pid
        servers = frozenset(
            pid for pid in self._pids_of(*self._apps) if parent_of(pid) == manager and not _is_control(pid)
        )
        tree = with_descendants(servers)
        return Processes(
            manager=manager, servers=servers, workers=tree & self.copy.events.pids("worker"), tree=tree
        )

    def proxy_pids(self) -> frozenset[int]:
        """Return the processes of the proxy now."""
        return frozenset(self._pids_of(self._proxy))

    def _pids_of(self, *units: str) -> Iterator[int]:
        """Yield the processes in the control groups of some units."""
        for pid in with_descendants({self._pid}) if self._pid else ():
            with contextlib.suppress(OSError):
                groups = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8")
                if any(f"/{unit}" in groups for unit in units):
                    yield pid

    def is_running(self) -> bool:
        """Tell whether systemd says of app and proxy that they run."""
        states = self._properties()
        return bool(states) and all(
            states[name]["ActiveState"] == "active" for name in (*self._apps, self._proxy) if name in states
        )

    def app_has_failed(self) -> bool:
        """Tell whether systemd says of a unit of the app, or one that it needs, that it ended or does not come up."""
        return any(
            values["ActiveState"] == "failed"
            or values["SubState"] == "auto-restart"
            or values["Result"] != "success"
            for name, values in self._properties().items()
            if name != self._proxy and name not in self._timers.values()
        )

    def has_given_up(self) -> bool:
        """Tell whether systemd says of one of them that it has failed, and is not to be started again."""
        return any(
            values["ActiveState"] == "failed"
            for name, values in self._properties().items()
            if name not in self._timers.values()
        )

    def pass_time(self) -> None:
        """Start what timers that run would start in some hours, and at once what would be tried again later."""
        super().pass_time()
        timers = self._show("SubState", units=self._timers) if self._pid and self._timers else {}
        # One that has elapsed starts nothing any more.
        services = {
            self._timers[name] for name, said in timers.items() if said["SubState"] in ("waiting", "running")
        }
        for name, said in self._show(*STATE, units=services).items() if services else ():
            if said["SubState"] == "auto-restart":
                self._systemctl("restart", "--no-block", name)
            elif said["ActiveState"] in ("inactive", "failed"):
                self._systemctl("start", "--no-block", name)

    def state(self) -> str:
        """Return the states of all units, as ``systemctl`` says them."""
        return (
            "; ".join(
                f"{name} {values['ActiveState']} ({values['SubState']}), result {values['Result']}"
                for name, values in self._properties().items()
            )
            or "systemd does not answer"
        )

    def unenforced_limit(self) -> str | None:
        """Return the limit of the app's unit, or of its slice, if the machine has got no memory controller."""
        slices = {name: values["Slice"] for name, values in self._show("Slice").items() if name in self._apps}
        shown = self._show("MemoryMax", "MemoryCurrent", units=[*self._apps, *slices.values()])
        for name, values in shown.items():
            if values["MemoryMax"].isdigit() and not values["MemoryCurrent"].isdigit():
                return f"MemoryMax={values['MemoryMax']} of {name}"
        return None

    def stop_app(self) -> None:
        """Stop the app, and what would start it again at the next request."""
        shown = self._show("TriggeredBy")
        sockets = [name for app in self._apps for name in shown.get(app, {}).get("TriggeredBy", "").split()]
        self._systemctl("stop", *sockets, *self._apps)

    def start_app(self) -> None:
        """Start the app, also where systemd has given it up."""
        self._systemctl("reset-failed", *self._apps)
        self._systemctl("start", "--no-block", *self._apps)

    def _systemctl(self, *arguments: str) -> None:
        argv = self._inside(["systemctl", *arguments])
        subprocess.run(argv, capture_output=True, check=False, timeout=self.stop_grace_s + 30)

    def log_tail(self, lines: int = 5, *, of_all_programs: bool = False) -> str:
        """Return the last lines of the journal that are about the project."""
        del of_all_programs
        return self.without_root(journal.tail(self.log_files(), 3 * lines, units=self._units))

    def advice(self, check_id: str) -> list[Advice]:
        """Return where a failed check is usually mended: in a unit, the proxy's file or the server's."""
        return [*advice_of(check_id, self.config, template_of(self._apps[0])), *self.part_advice(check_id)]


def _is_control(pid: int) -> bool:
    """Tell whether a process is one of ExecReload= and the like: those are told the pid of the main process."""
    return b"\0MAINPID=" in b"\0" + environment_of(pid)
