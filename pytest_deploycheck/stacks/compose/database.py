"""The service of a Compose file that is the database: where its socket is, and how it comes and goes."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Callable, Mapping
from typing import Any

from pytest_deploycheck.stacks.compose.services import Services, mount_of, variables_of

SOCKETS = "/var/run/postgresql"
OPEN = stat.S_ISVTX | stat.S_ISGID | stat.S_IRWXU | stat.S_IRWXG | stat.S_IRWXO
# Beside the socket: a script that waits for a file beside itself, and then is what the container would have run.
SCRIPT = "deploycheck.late"
LATE = 'until [ -e "$0.arrived" ]; do sleep 0.2; done\nexec "$@"\n'


class DatabaseService:
    """See ``Service``. ``start`` and ``stop`` are those of the stack."""

    def __init__(
        self, name: str, services: Services, *, start: Callable[[str], None], stop: Callable[[str], None]
    ) -> None:
        self.name = name
        self._services = services
        self._start, self._stop = start, stop
        self._definition = services.by_name[name]
        variables = variables_of(self._definition)
        self.password = self._password(variables)
        self._mounts = services.mounts()
        own = map(mount_of, self._definition.get("volumes") or ())
        shared = next((self._mounts.get(source) for source, target in own if target == SOCKETS), None)
        self.socket_folder = shared.here if shared else services.root / "var/postgresql"
        self._is_held = False

    def _password(self, variables: Mapping[str, str]) -> str:
        """Return the password that the service gets, from its environment or from the file of a secret."""
        place = variables.get("POSTGRES_PASSWORD_FILE")
        if not place:
            return variables.get("POSTGRES_PASSWORD", "")
        files = self._services.secrets
        found = (
            files.get(name) for name, target in self._services.database_secrets.items() if target == place
        )
        file = next(found, None)
        return file.read_text(encoding="utf-8").strip() if file and file.is_file() else ""

    def start(self) -> None:
        """Start it, alone."""
        self._start(self.name)

    def stop(self) -> None:
        """Stop it."""
        self._stop(self.name)

    def hold(self) -> Callable[[], None]:
        """Let the server wait in its container for a file."""
        self._is_held = True
        return (self.socket_folder / f"{SCRIPT}.arrived").touch

    def moved(
        self, environment: Mapping[str, str], words: Callable[[str], tuple[list[str], list[str]]]
    ) -> dict[str, Any]:
        """Return what a second file says of it.

        Args:
            environment: its processes are known by these variables.
            words: gives entrypoint and command of an image.
        """
        volumes = []
        folders = {SOCKETS: self.socket_folder}
        for source, target in map(mount_of, self._definition.get("volumes") or ()):
            if source in self._mounts:
                folders[target] = self._mounts[source].here
        for target, folder in folders.items():
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(OPEN)  # as the image has it: the server is not the user who runs the checks
            volumes.append(f"{folder}:{target}")
        moved: dict[str, Any] = {"volumes": volumes, "environment": dict(environment)}
        if self._is_held:
            entrypoint, command = words(str(self._definition.get("image")))
            entrypoint = _words(self._definition.get("entrypoint")) or entrypoint
            command = _words(self._definition.get("command")) or command
            (self.socket_folder / SCRIPT).write_text(LATE, encoding="ascii")
            moved["entrypoint"] = ["/bin/sh", f"{SOCKETS}/{SCRIPT}", *entrypoint]
            moved["command"] = command
        return moved


def _words(said: object) -> list[str]:
    return shlex.split(said) if isinstance(said, str) else [str(word) for word in said or ()]  # type: ignore[attr-defined]
