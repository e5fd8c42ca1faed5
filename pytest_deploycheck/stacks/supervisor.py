"""Supervisor: https://supervisord.org/configuration.html."""

from __future__ import annotations

import configparser
import contextlib
import http.client
import re
import shlex
import signal
import subprocess
import xmlrpc.client  # nosec B411
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.probes.processes import Processes, alive, kill, with_descendants
from pytest_deploycheck.probes.unix import UnixConnection
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.proxies.protocol import Acme
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.terminal import Terminal
from pytest_deploycheck.sandbox.tools import require
from pytest_deploycheck.stacks.base import BaseStack, tail
from pytest_deploycheck.stacks.protocol import StackError

PATH_KEYS = ("logfile", "pidfile", "childlogdir", "stdout_logfile", "stderr_logfile", "file")
PROGRAM = re.compile(r"(?:fcgi-)?program:(?P<name>[^:]+)")
DEFAULT_STARTSECS = 1
DEFAULT_STOPWAITSECS = 10
# What Supervisor starts again after its end it starts within a second.
EXITED_FOR_GOOD_S = 3


class SupervisorStack(BaseStack):
    """A copy of the project under Supervisor; see the ``Stack`` protocol."""

    NAME = "supervisor"

    def __init__(
        self, copy: ProjectCopy, extra: Mapping[str, str] | None = None, *, acme: Acme | None = None
    ) -> None:
        super().__init__(copy, extra, acme=acme)
        require("supervisord", copy.root / ".venv", install="pip install supervisor")
        self._file = copy.root / self.config.manager_config
        self._parser = read_conf(self._file, self.config.manager_config)
        self._programs = {
            match["name"]: section
            for section in self._parser.sections()
            if (match := PROGRAM.fullmatch(section))
        }
        commands = {name: self._get(name, "command", "") for name in self._programs}
        self._app, self._proxy = self.find_parts(commands, kind="[program:x]")
        self.start_grace_s = float(self._seconds(self._app, "startsecs", DEFAULT_STARTSECS))
        self.stop_grace_s = float(self._seconds(self._app, "stopwaitsecs", DEFAULT_STOPWAITSECS))
        self._relocate()

    def _get(self, program: str, key: str, default: str) -> str:
        return str(self._parser.get(self._programs[program], key, fallback=default))

    def _seconds(self, program: str, key: str, default: int) -> int:
        text = self._expand(self._get(program, key, str(default)))
        if not re.fullmatch(r"[0-9]{1,9}", text):
            line = line_of(self._file, self._programs[program], key)
            raise StackError(
                f"{self.config.manager_config}:{line}: {key} must be a whole number, not {text!r}"
            )
        return int(text)

    def _relocate(self) -> None:
        """Move what only production has: users, absolute paths, the control socket, the public ports."""
        here = str(self._file.parent)
        for section in self._parser.sections():
            if self._parser.has_option(section, "user"):
                self._moved(
                    f"[{section}] user={self._parser.get(section, 'user')}", "the user who runs the checks"
                )
                self._parser.remove_option(section, "user")
            self._project_folder(section)
            for key in PATH_KEYS:
                value = self._parser.get(section, key, fallback="")
                if value.startswith("/") and not value.startswith(("/dev/", here)):
                    target = self.copy.outside / value.lstrip("/")
                    target.parent.mkdir(parents=True, exist_ok=True)
                    self._moved(f"[{section}] {key}={value}", "the sandbox")
                    self._parser.set(section, key, str(target))
        self._control_socket()
        if self._proxy:
            command = self.relocate_proxy(self._expand(self._get(self._proxy, "command", "")))
            self._parser.set(self._programs[self._proxy], "command", command.replace("%", "%%"))
        else:
            words = self.config.command.words if self.config.command else None
            self.relocate_alone(words.port if words else None)
        self.relocated.insert(
            0, f"project -> a copy in {self.copy.run.folder.parent}, run with an empty environment"
        )
        with self._file.open("w", encoding="utf-8") as file:
            self._parser.write(file)

    def _project_folder(self, section: str) -> None:
        """Run a program where the copy is, if it names the folder that the project has in production."""
        folder = self._parser.get(section, "directory", fallback="").rstrip("/")
        if not folder.startswith("/") or folder.startswith(str(self.copy.root)):
            return
        self._moved(f"[{section}] directory={folder}", "the copy")
        for key in ("directory", "command", "environment"):
            value = self._parser.get(section, key, fallback="")
            moved = re.sub(rf"(?<![\w./-]){re.escape(folder)}(?=[/\s\"',]|$)", str(self.copy.root), value)
            if value != moved:
                self._parser.set(section, key, moved)

    def _moved(self, what: str, where: str) -> None:
        self.relocated.append(f"{self.config.manager_config}: {what} -> {where}")

    def _control_socket(self) -> None:
        """Find the socket on which Supervisor is asked for states; add one if the project has none."""
        if not self._parser.has_option("unix_http_server", "file"):
            self._parser.read_dict({"unix_http_server": {"file": str(self.copy.root.with_suffix(".sock"))}})
            self._moved("no [unix_http_server]", "one in the sandbox")
        if not self._parser.has_section("rpcinterface:supervisor"):
            factory = "supervisor.rpcinterface:make_main_rpcinterface"
            self._parser.read_dict({"rpcinterface:supervisor": {"supervisor.rpcinterface_factory": factory}})
        self._socket = Path(self._expand(self._parser.get("unix_http_server", "file")))

    def _expand(self, value: str) -> str:
        """Expand ``%(here)s`` and ``%(ENV_X)s`` as Supervisor does; an unknown name is an error there too."""
        values = {**self.config.env, **self.environment}
        names = {"here": str(self._file.parent), **{f"ENV_{name}": text for name, text in values.items()}}
        try:
            return value % names
        except (KeyError, ValueError, TypeError, OverflowError) as error:
            raise StackError(f"{self.config.manager_config}: cannot expand {value!r}: {error}") from None

    def start(
        self,
        extra: Mapping[str, str] | None = None,
        *,
        folder: Path = Path("/"),
        terminal: Terminal | None = None,
        command: str | None = None,
    ) -> subprocess.Popen[bytes]:
        """Run the start command, the project's own by default, from ``folder``, in ``terminal`` or in none.

        Return at once.
        """
        command = command or self.config.start or shlex.join(["supervisord", "-n", "-c", str(self._file)])
        environment = {**self.environment, **(extra or {})}
        try:
            return self.copy.spawn(command, environment, folder=folder, terminal=terminal)
        except OSError as error:
            raise StackError(f"the start command {command!r} cannot be run: {error.strerror}") from None

    def _rpc(self, method: str, *arguments: object) -> Any:
        """Call Supervisor's XML-RPC interface over its unix socket."""
        body = xmlrpc.client.dumps(arguments, method)  # type: ignore[arg-type]
        with contextlib.closing(UnixConnection(self._socket, timeout_s=self.stop_grace_s + 30)) as connection:
            connection.request("POST", "/RPC2", body=body, headers={"Content-Type": "text/xml"})
            values, _ = xmlrpc.client.loads(connection.getresponse().read())
        return values[0]

    def _ask(self, method: str, *arguments: object) -> Any:
        """Call it; return None if Supervisor is not there."""
        with contextlib.suppress(OSError, http.client.HTTPException, xmlrpc.client.Error):
            return self._rpc(method, *arguments)
        return None

    def _infos(self) -> list[dict[str, Any]]:
        return self._ask("supervisor.getAllProcessInfo") or []

    def processes(self) -> Processes:
        """Return the processes of the app now."""
        calls = [
            {"methodName": f"supervisor.{name}", "params": []} for name in ("getPID", "getAllProcessInfo")
        ]
        manager, infos = self._ask("system.multicall", calls) or (0, [])
        if not isinstance(infos, list):  # a fault: it is about to end, and answers nothing more
            manager, infos = 0, []
        servers_up = _pids_of(self._app, infos)
        tree = with_descendants(servers_up)
        served = self.copy.events.pids("worker")
        return Processes(manager=manager, servers=servers_up, workers=tree & served, tree=tree)

    def proxy_pids(self) -> frozenset[int]:
        """Return the processes of the proxy now."""
        return with_descendants(_pids_of(self._proxy, self._infos())) if self._proxy else frozenset()

    def is_running(self) -> bool:
        """Tell whether the manager says RUNNING of all processes of app and proxy."""
        states = self._states()
        return bool(states) and states == {"RUNNING"}

    def has_given_up(self) -> bool:
        """Tell whether the manager says FATAL of any of them, or EXITED for longer than it ever is before a restart."""
        return any(
            info["statename"] == "FATAL"
            or (info["statename"] == "EXITED" and info["now"] - info["stop"] > EXITED_FOR_GOOD_S)
            for info in self._infos_of()
        )

    def app_has_failed(self) -> bool:
        """Tell whether the manager says of any process of the app that it ended or does not come up."""
        return not self._states(self._app).isdisjoint({"BACKOFF", "EXITED", "FATAL"})

    def _states(self, *programs: str) -> set[str]:
        return {info["statename"] for info in self._infos_of(*programs)}

    def _infos_of(self, *programs: str) -> list[dict[str, Any]]:
        """Return what Supervisor knows of all processes of some programs; of app and proxy if none are named."""
        wanted = programs or tuple(filter(None, (self._app, self._proxy)))
        return [info for info in self._infos() if info["group"] in wanted]

    def state(self) -> str:
        """Return the states of all programs, as ``supervisorctl status`` says them."""
        states = [
            f"{info['group']}:{info['name']} {info['statename']} {info['description']}"
            for info in self._infos()
        ]
        return "; ".join(states) or "Supervisor does not answer"

    def stop_app(self) -> None:
        """Stop the app's process group.

        Supervisor looks once a second whether a process has ended, and each time that it is asked something.
        """
        wait = False
        self._rpc("supervisor.stopProcessGroup", self._app, wait)
        wait_for(
            lambda: self._states(self._app),
            lambda states: "STOPPING" not in states,
            deadline_s=self.stop_grace_s + 30,
        )

    def start_app(self) -> None:
        """Start the app's process group."""
        wait = False
        self._rpc("supervisor.startProcessGroup", self._app, wait)

    def rotate_logs(self) -> bool:
        """Let Supervisor open its logs anew; it writes a line about it, to its terminal too."""
        manager = self._ask("supervisor.getPID")
        kill({manager} if manager else (), signal.SIGUSR2)
        return bool(manager)

    def log_files(self) -> list[Path]:
        """Return what the start command prints to, Supervisor's own log, and those of its programs."""
        return [
            *self._logs(*self._programs.values()),
            *self._logs("supervisord")[1:],
        ]

    def _logs(self, *sections: str) -> list[Path]:
        files = [self.copy.log_file]
        for section in sections:
            for key in ("logfile", "stdout_logfile", "stderr_logfile"):
                with contextlib.suppress(StackError):
                    files.append(Path(self._expand(self._parser.get(section, key, fallback="/nonexistent"))))
        return [file for file in files if file.is_file()]

    def log_tail(self, lines: int = 5, *, of_all_programs: bool = False) -> str:
        """Return the last lines of what the start command printed, and of the logs of app and proxy, or of all."""
        programs = [self._programs[name] for name in (self._app, self._proxy) if name]
        files = self._logs(*(self._programs.values() if of_all_programs else programs))
        return self.without_root("\n".join(filter(None, (tail(file, lines) for file in files))))

    def advice(self, check_id: str) -> list[Advice]:
        """Return where a failed check is usually mended: in this file, the proxy's or the server's."""
        found = []
        if check_id in ADVICE:
            key, text = ADVICE[check_id]
            original = self.config.root / self.config.manager_config
            found.append(
                Advice(self.config.manager_config, line_of(original, self._programs[self._app], key), text)
            )
        return [*found, *self.part_advice(check_id)]


def _pids_of(program: str, infos: list[dict[str, Any]]) -> frozenset[int]:
    return alive(info["pid"] for info in infos if info["group"] == program and info["pid"])


ADVICE = {
    "RST002": (
        "command",
        "one parent that takes its workers with it: `gunicorn -k asgi`, or an [fcgi-program]",
    ),
    "RST003": ("autorestart", "autorestart=true: `unexpected` leaves an app down that exits with status 0"),
    "RST006": (
        "startsecs",
        "startsecs longer than a crash takes: with 0 each crash counts as a run, and the next one follows at once",
    ),
    "RST007": (
        "stopwaitsecs",
        "stopsignal and stopwaitsecs decide how the app ends; exec the server in start scripts",
    ),
    "RST008": (
        "stopsignal",
        "a graceful stopsignal (TERM), and stopwaitsecs above the server's graceful timeout",
    ),
    "RES004": (
        "command",
        "minfds in [supervisord] above what the processes hold, and no `ulimit -n` in the command",
    ),
    "RES005": (
        "stdout_logfile_maxbytes",
        "stdout_logfile_maxbytes of a few MB and stdout_logfile_backups of at least 1, in this section",
    ),
    "REP006": (
        "numprocs",
        "no more processes than 2 x CPUs + 1, where the CPUs are those that the service may use",
    ),
    "BOOT002": ("command", "paths by %(here)s, settings from the environment file"),
    "BOOT006": (
        "startsecs",
        "startsecs longer than a failing import takes, so that it never counts as RUNNING",
    ),
}


def read_conf(file: Path, name: str) -> configparser.RawConfigParser:
    """Parse a file as Supervisor does (``UnhosedConfigParser``).

    Raises:
        StackError: with file and line.
    """
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    try:
        parser.read_string(file.read_text(encoding="utf-8"), source=name)
    except configparser.MissingSectionHeaderError as error:
        raise StackError(
            f"{name}:{error.lineno}: a setting before the first [section]: {error.line!r}"
        ) from None
    except configparser.ParsingError as error:
        line, text = error.errors[0]
        raise StackError(f"{name}:{line}: cannot be parsed: {text}") from None
    except (configparser.Error, OSError, UnicodeDecodeError) as error:
        raise StackError(f"{name}: {error}") from None
    return parser


def line_of(file: Path, section: str, key: str) -> int | None:
    """Return the line of ``key`` in ``[section]``, or that of the section's heading if the key is not there."""
    heading = None
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.startswith("["):
            if heading is not None:
                break
            heading = number if line.startswith(f"[{section}]") else None
        elif heading is not None and re.match(rf"{key}\s*[=:]", line):
            return number
    return heading
