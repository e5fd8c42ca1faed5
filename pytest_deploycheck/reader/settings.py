"""Reads the settings of ``[tool.deploycheck]``, each as what it is."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_deploycheck.config import Config, ConfigError, Requests, Write
from pytest_deploycheck.probes.cpus import workers_that_fit
from pytest_deploycheck.reader.table import PATH, list_of, mapping, path, refuse_unknown, shown, typed
from pytest_deploycheck.reader.values import Values

STRINGS = (
    "domain",
    "manager_config",
    "proxy_config",
    "start",
    "previous_steps",
    "app",
    "command",
    "env_file",
    "secrets_dir",
    "path_prefix",
    "database_url",
    "database_server",
    "reload",
    "renewal_hook",
    "enable",
    "health_check",
)
INTEGERS = (
    "workers",
    "replicas",
    "memory_limit_mb",
    "max_body_mb",
    "hang_timeout_s",
    "connections",
    "max_connections",
)
LISTS_OF_STRINGS = ("secrets", "once", "disposable_database_servers")
COMMANDS = ("start", "command", "previous_steps", "reload", "renewal_hook", "enable", "health_check")
KEYS = (*STRINGS, *INTEGERS, *LISTS_OF_STRINGS, "ports", "requests", "waivers")

LARGEST = 1_000_000_000
LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
HOST = re.compile(rf"{LABEL}(\.{LABEL})*")
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
HEADER = re.compile(r"([!-~]([ -~]*[!-~])?)?")


class SettingsReader:
    """Takes settings out of the table, checks them, and follows ``$NAME`` to the values of the deployment."""

    def __init__(
        self, table: dict[str, Any], root: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        """``environment``: variables that the deployment has besides those of the environment file."""
        self.table = table
        self.root = root
        self.settings: dict[str, str] = {}
        refuse_unknown(table, KEYS)
        self.values = Values(table, root, environment or {})

    def config(self, project: str) -> Config:
        """Return the settings."""
        strings = {key: value for key in STRINGS if (value := self._text(key)) is not None}
        strings.pop("command", None)
        if "domain" not in strings:
            raise ConfigError(
                '[tool.deploycheck] domain is missing: name the public host, for example "$DOMAIN"'
            )
        self._check(strings)
        integers = {key: number for key in INTEGERS if (number := self._integer(key)) is not None}
        # The table speaks of each replica, the checks of all of them.
        replicas = integers.get("replicas", 1)
        integers["workers"] = integers.get("workers", 1) * replicas
        if "memory_limit_mb" in integers:
            integers["memory_limit_mb"] *= replicas
        return Config(
            **{
                **strings,
                **integers,
                "root": self.root,
                "project": project,
                "env": self.values.env,
                "settings": self.settings,
                "manager_config": strings.get("manager_config", ""),
                "env_file": self.values.env_file,
                "secret_files": self.values.secret_files,
                "path_prefix": strings.get("path_prefix", "").rstrip("/"),
                **{key: tuple(list_of(self.table, key, str)) for key in LISTS_OF_STRINGS},
                "ports": self._ports(),
                "requests": self._requests(),
                "waivers": mapping(self.table, "waivers"),
            }  # type: ignore[arg-type]
        )

    @staticmethod
    def _check(strings: dict[str, str]) -> None:
        """Refuse values that no program can take."""
        for key in COMMANDS:
            try:
                words = shlex.split(strings.get(key, "true"))
            except ValueError as error:
                raise ConfigError(f"[tool.deploycheck] {key} = {shown(strings[key])}: {error}") from None
            if not words or not words[0]:
                raise ConfigError(f"[tool.deploycheck] {key} must be a command, not empty")
        if not HOST.fullmatch(strings["domain"]):
            raise ConfigError(
                "[tool.deploycheck] domain must be a host name such as api.example.com, "
                f"not {shown(strings['domain'])}"
            )
        if not PATH.fullmatch(strings.get("path_prefix", "")):
            raise ConfigError(
                "[tool.deploycheck] path_prefix must be empty, or a path that starts with /, "
                f"not {shown(strings['path_prefix'])}"
            )

    def _ports(self) -> tuple[int, ...]:
        ports = tuple(list_of(self.table, "ports", int))
        if ports and (len(set(ports)) != 2 or len(ports) != 2 or not all(0 < port < 65536 for port in ports)):
            raise ConfigError(
                f"[tool.deploycheck] ports must be two ports, for HTTP and HTTPS, not {shown(list(ports))}"
            )
        return ports

    def _requests(self) -> Requests:
        table = typed(self.table, "requests", dict) or {}
        where = "tool.deploycheck.requests"
        refuse_unknown(table, tuple(Requests.__dataclass_fields__), where)
        values: dict[str, Any] = {}
        for key in ("live", "ready", "read", "heavy", "metrics"):
            if key in table:
                values[key] = path(table[key], f"[{where}] {key}")
        if "write" in table:
            write = table["write"]
            if not isinstance(write, dict) or "path" not in write or set(write) - {"path", "json"}:
                raise ConfigError(f"[{where}] write must be a table: {{ path = ..., json = ... }}")
            try:
                json.dumps(write.get("json"), allow_nan=False)
            except (TypeError, ValueError, RecursionError) as error:
                raise ConfigError(f"[{where}] write.json cannot be sent as JSON: {error}") from None
            values["write"] = Write(path=path(write["path"], f"[{where}] write.path"), json=write.get("json"))
        headers = mapping(table, "headers", where)
        values["headers"] = dict(self._headers(headers, f"[{where}] headers"))
        return Requests(**values)

    def _headers(self, headers: dict[str, str], where: str) -> Iterator[tuple[str, str]]:
        for name, text in headers.items():
            value = self.values.expanded(text, f"{where}.{shown(name)}")
            if not TOKEN.fullmatch(name) or not HEADER.fullmatch(value):
                raise ConfigError(f"{where}.{shown(name)}: a name or value that no request header can have")
            yield name, value

    def _text(self, key: str) -> str | None:
        value = typed(self.table, key, str)
        if value is None:
            return None
        if value.startswith("$"):
            self.settings[key] = value.removeprefix("$")
        return self.values.expanded(value, f"[tool.deploycheck] {key}")

    def _integer(self, key: str) -> int | None:
        value = self.table.get(key)
        if value is None:
            return None
        text = self._text(key) if isinstance(value, str) else value
        if key == "workers" and text == "auto":
            return workers_that_fit()
        try:
            number = int(str(text))
        except ValueError:
            number = 0
        if not 1 <= number <= LARGEST or isinstance(value, float):
            raise ConfigError(f"[tool.deploycheck] {key} must be a whole number from 1, not {shown(text)}")
        return number
