"""Drop-ins beside the project's units: they move what only production has."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from pytest_deploycheck.probes.units import Unit, settings_of
from pytest_deploycheck.sandbox.machine import quoted
from pytest_deploycheck.sandbox.ports import LOOPBACK
from pytest_deploycheck.sandbox.run import ProjectCopy

DROP_IN = "zz-deploycheck.conf"
YES = ("yes", "true", "on", "1")


class DropIns:
    """The drop-ins of a machine.

    Attributes:
        moved: what they move, a line each.
    """

    def __init__(self, machine: Path, copy: ProjectCopy, proxy: str) -> None:
        """Begin with none.

        Args:
            machine: its root.
            copy: the project on it.
            proxy: the name of the proxy's unit.
        """
        self._machine, self._copy, self._proxy = machine, copy, proxy
        self.moved: list[str] = []

    def write_service(self, name: str, unit: Unit, proxy_command: str) -> None:
        """Let a unit run in the sandbox, and the proxy at the sandbox's ports."""
        lines = ["[Service]", *self._of_the_sandbox(name, unit)]
        if name == self._proxy:
            words = " ".join(quoted(word.replace("$", "$$")) for word in shlex.split(proxy_command))
            lines += ["ExecStart=", f"ExecStart={words}"]
        self._write(name, lines)

    def write_sockets(self, app_ports: Mapping[int, int]) -> None:
        """Let systemd open the ports at which the proxy reaches the app here."""
        for name, settings in settings_of(self._machine, ".socket").items():
            streams = settings.get(("Socket", "ListenStream"), [])
            moved = [_moved_port(stream, app_ports) for stream in streams]
            if moved != streams:
                lines = ["[Socket]", "ListenStream=", *(f"ListenStream={stream}" for stream in moved)]
                self._write(name, lines)
                self._tell(name, " ".join(streams), " ".join(moved))

    def _write(self, name: str, lines: Iterable[str]) -> None:
        folder = self._machine / f"etc/systemd/system/{name}.d"
        folder.mkdir(exist_ok=True)
        (folder / DROP_IN).write_text("\n".join([*lines, ""]), encoding="utf-8")

    def _of_the_sandbox(self, name: str, unit: Unit) -> Iterator[str]:
        """Yield the settings that let a unit run in the sandbox, whatever it does."""
        for key in ("User", "Group"):
            if value := unit.last(key):
                yield f"{key}="
                self._tell(name, f"{key}={value}", "the user who runs the checks")
        if name == self._proxy and unit.last("User"):
            # Started by root, who runs the checks, a proxy such as nginx has to choose a user.
            self._tell(name, "what it may do", "also choose its user, for here root starts it")
            yield "CapabilityBoundingSet=CAP_SETGID CAP_SETUID"
            yield from ("SystemCallFilter=@setuid",) if unit.last("SystemCallFilter") else ()
        if unit.last("ProtectSystem") == "strict":
            # The sandbox itself is no part of the project, which stays as read-only as it is.
            yield f"ReadWritePaths={self._copy.run.folder}"
            yield f"ReadOnlyPaths={self._copy.root}"
        if "PYTHONPATH" in unit.environment:
            path = f"{unit.environment['PYTHONPATH']}:{self._copy.environment()['PYTHONPATH']}"
            yield f"Environment={quoted(f'PYTHONPATH={path}')}"
        if unit.last("PrivateTmp") in YES:
            yield from (f"BindReadOnlyPaths={quoted(str(path))}" for path in shown_to_units(self._copy))

    def _tell(self, unit: str, what: str, where: str) -> None:
        line = f"{what} -> {where}"
        if not any(text.endswith(line) for text in self.moved):
            self.moved.append(f"{unit}: {line}")


def shown_to_units(copy: ProjectCopy) -> list[Path]:
    """Return what of the virtual environment is in a folder for temporary files, which units do not see."""
    environment = (copy.root / ".venv").resolve()
    python = (environment / "bin/python").resolve()
    wanted = {environment, python.parent.parent, Path(sys.prefix)}
    return sorted(path for path in wanted if str(path).startswith(("/tmp/", "/var/")))  # noqa: S108  # nosec B108


def _moved_port(stream: str, app_ports: Mapping[int, int]) -> str:
    """Return a ``ListenStream=`` with the port of the sandbox, if it is one of the app's."""
    port = stream.rpartition(":")[2]
    return f"{LOOPBACK}:{app_ports[int(port)]}" if port.isdigit() and int(port) in app_ports else stream
