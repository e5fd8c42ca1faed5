"""systemd: the project's units, on a machine that is booted. https://www.freedesktop.org/software/systemd/man/."""

from __future__ import annotations

import contextlib
import re
import shlex
import subprocess
import sys
import textwrap
import threading
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.probes.processes import Processes, with_descendants
from pytest_deploycheck.probes.units import Unit, all_units, settings_of, template_of
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.guardian import environment_of, parent_of
from pytest_deploycheck.sandbox.machine import Machine, quoted, require_machines
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import COMMAND_TIMEOUT_S, Finished, ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.stacks.base import LOG_WIDTH, BaseStack
from pytest_deploycheck.stacks.protocol import StackError

DROP_IN = "zz-deploycheck.conf"
STATE = ("ActiveState", "SubState", "Result")
# Who pulls a unit in; nobody, if all are empty.
PULLED_IN_BY = ("WantedBy", "RequiredBy", "UpheldBy", "BoundBy", "TriggeredBy", "ConsistsOf")
USUAL_START_S = USUAL_STOP_S = 90.0
YES = ("yes", "true", "on", "1")
LONGEST_STOP_S = 300.0
SHOW_DEADLINE_S = 10.0
LONGEST_TRIED_START_S = 5.0
BOOT_DEADLINE_S = 20.0
# What journald shows on the machine's console: [   12.345678] gunicorn[42]: text
CONSOLE_LINE = re.compile(r"\[ *\d+\.\d+\] (?P<who>[^\s\[:]+)(\[\d+\])?: (?P<text>.*)")


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
        self.folders = (copy.root, self._machine.root / "var/log")
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
        for name, unit in self._units.items():
            lines = ["[Service]", *self._of_the_sandbox(name, unit)]
            if name == self._proxy:
                words = " ".join(quoted(word.replace("$", "$$")) for word in shlex.split(moved))
                lines += ["ExecStart=", f"ExecStart={words}"]
            self._write_drop_in(name, lines)
        self._move_sockets()
        if shown := self._shown():
            names = ", ".join(map(str, shown))
            self.relocated.append(f"{names} -> to be seen by the units, in spite of PrivateTmp=")
        self.relocated.insert(
            0,
            f"project -> a copy in {self.copy.run.folder.parent}, on a machine of its own, which systemd boots",
        )

    def _move_sockets(self) -> None:
        """Let systemd open the ports at which the proxy reaches the app here."""
        for name, settings in settings_of(self._machine.root, ".socket").items():
            streams = settings.get(("Socket", "ListenStream"), [])
            moved = [self._moved_port(stream) for stream in streams]
            if moved != streams:
                lines = ["[Socket]", "ListenStream=", *(f"ListenStream={stream}" for stream in moved)]
                self._write_drop_in(name, lines)
                self._moved(name, " ".join(streams), " ".join(moved))

    def _moved_port(self, stream: str) -> str:
        """Return a ``ListenStream=`` with the port of the sandbox, if it is one of the app's."""
        port = stream.rpartition(":")[2]
        return (
            f"{LOOPBACK}:{self.app_ports[int(port)]}"
            if port.isdigit() and int(port) in self.app_ports
            else stream
        )

    def _write_drop_in(self, name: str, lines: Iterable[str]) -> None:
        folder = self._machine.root / f"etc/systemd/system/{name}.d"
        folder.mkdir(exist_ok=True)
        (folder / DROP_IN).write_text("\n".join([*lines, ""]), encoding="utf-8")

    def _of_the_sandbox(self, name: str, unit: Unit) -> Iterator[str]:
        """Yield the settings that let a unit run in the sandbox, whatever it does."""
        for key in ("User", "Group"):
            if value := unit.last(key):
                yield f"{key}="
                self._moved(name, f"{key}={value}", "the user who runs the checks")
        if name == self._proxy and unit.last("User"):
            # Started by root, who runs the checks, a proxy such as nginx has to choose a user.
            self._moved(name, "what it may do", "also choose its user, for here root starts it")
            yield "CapabilityBoundingSet=CAP_SETGID CAP_SETUID"
            yield from ("SystemCallFilter=@setuid",) if unit.last("SystemCallFilter") else ()
        if unit.last("ProtectSystem") == "strict":
            # The sandbox itself is no part of the project, which stays as read-only as it is.
            yield f"ReadWritePaths={self.copy.run.folder}"
            yield f"ReadOnlyPaths={self.copy.root}"
        if "PYTHONPATH" in unit.environment:
            path = f"{unit.environment['PYTHONPATH']}:{self.copy.environment()['PYTHONPATH']}"
            yield f"Environment={quoted(f'PYTHONPATH={path}')}"
        if unit.last("PrivateTmp") in YES:
            yield from (f"BindReadOnlyPaths={quoted(str(path))}" for path in self._shown())

    def _shown(self) -> list[Path]:
        """Return what of the virtual environment is in a folder for temporary files, which units do not see."""
        environment = (self.copy.root / ".venv").resolve()
        python = (environment / "bin/python").resolve()
        wanted = {environment, python.parent.parent, Path(sys.prefix)}
        return sorted(path for path in wanted if str(path).startswith(("/tmp/", "/var/")))  # noqa: S108  # nosec B108

    def _moved(self, unit: str, what: str, where: str) -> None:
        line = f"{what} -> {where}"
        if not any(text.endswith(line) for text in self.relocated):
            self.relocated.append(f"{unit}: {line}")

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
        self._process = self._machine.boot(environment, self._shown())
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

    def log_files(self) -> list[Path]:
        """Return the file that has all of the machine's journal."""
        return [self.copy.log_file] if self.copy.log_file.is_file() else []

    def log_tail(self, lines: int = 5, *, of_all_programs: bool = False) -> str:
        """Return the last lines of the journal that are about the project."""
        del of_all_programs
        text = "".join(file.read_text(encoding="utf-8", errors="replace") for file in self.log_files())
        found = [line for line in map(self._said, text.splitlines()) if line][-3 * lines :]
        return self.without_root(
            "\n".join(
                textwrap.shorten(line, LOG_WIDTH, placeholder=" …") if len(line) > LOG_WIDTH else line
                for line in found
            )
        )

    def _said(self, line: str) -> str:
        """Return a line of the journal as its program has written it; nothing if the program is systemd's own."""
        match = CONSOLE_LINE.fullmatch(line.rstrip())
        if match is None:
            return ""
        is_about_units = match["who"] == "systemd" and any(name in match["text"] for name in self._units)
        is_ours = not match["who"].startswith(("systemd", "dbus", "kernel"))
        return match["text"] if is_about_units or is_ours else ""

    def advice(self, check_id: str) -> list[Advice]:
        """Return where a failed check is usually mended: in a unit, the proxy's file or the server's."""
        found = []
        if check_id in ADVICE:
            key, text = ADVICE[check_id]
            found.append(self._advice(key, text))
        return [*found, *self.part_advice(check_id)]

    def _advice(self, key: str, text: str) -> Advice:
        """Find the line of a setting of the app's unit in the project's own files."""
        named = Path(self.config.manager_config)
        folder = named.parent if named.suffix == ".service" else named
        own = folder / template_of(self._apps[0])
        files = [own, *sorted((self.config.root / folder).glob("*.service.d/*.conf"))]
        for file in files:
            with contextlib.suppress(OSError):
                lines = (self.config.root / file).read_text(encoding="utf-8").splitlines()
                numbers = [number for number, line in enumerate(lines, start=1) if line.startswith(f"{key}=")]
                if numbers:
                    return Advice(str(file), numbers[-1], text)
        return Advice(str(own), None, text)


def _is_control(pid: int) -> bool:
    """Tell whether a process is one of ExecReload= and the like: those are told the pid of the main process."""
    return b"\0MAINPID=" in b"\0" + environment_of(pid)


ADVICE = {
    "BOOT001": ("WantedBy", "[Install] WantedBy=multi-user.target, and `systemctl enable` for the unit"),
    "RST002": ("KillMode", "KillMode=mixed or control-group, so that what is left of a dead server goes too"),
    "RST003": ("Restart", "Restart=always: on-failure leaves an app down that exits with status 0"),
    "RST006": (
        "StartLimitBurst",
        "StartLimitIntervalSec= longer than StartLimitBurst= crashes take, with RestartSec= between them",
    ),
    "RST007": ("TimeoutStopSec", "KillMode=mixed, and a TimeoutStopSec= after which the rest is killed"),
    "RST008": (
        "TimeoutStopSec",
        "TimeoutStopSec= above the server's own graceful timeout, and KillSignal=SIGTERM",
    ),
    "RST009": ("ExecReload", "ExecReload= that replaces one worker after the other"),
    "MEM002": (
        "MemoryMax",
        "MemoryMax= for the unit, with OOMPolicy=continue, so that only the biggest worker goes",
    ),
    "RES004": ("LimitNOFILE", "LimitNOFILE= above what the processes hold"),
    "PRE001": ("Requires", "Requires= and After= for the unit of the previous steps"),
    "PRE009": ("TimeoutStartSec", "TimeoutStartSec=infinity for the unit of the previous steps"),
}
