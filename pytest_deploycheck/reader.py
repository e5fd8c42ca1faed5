"""Reads ``[tool.deploycheck]``; values may be taken from the project's environment file and secrets."""

from __future__ import annotations

import difflib
import json
import re
import shlex
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from pytest_deploycheck import secret_files
from pytest_deploycheck.config import Config, ConfigError, Requests, Write
from pytest_deploycheck.detection import ANY_HOST, detect, managers
from pytest_deploycheck.detection.finding import Finding
from pytest_deploycheck.detection.lacks import lacks
from pytest_deploycheck.detection.routes import with_defaults
from pytest_deploycheck.detection.surroundings import SECRET
from pytest_deploycheck.probes.cpus import workers_that_fit

_STRINGS = (
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
_INTEGERS = (
    "workers",
    "replicas",
    "memory_limit_mb",
    "max_body_mb",
    "hang_timeout_s",
    "connections",
    "max_connections",
)
_LISTS_OF_STRINGS = ("secrets", "once", "disposable_database_servers")
_COMMANDS = ("start", "command", "previous_steps", "reload", "renewal_hook", "enable", "health_check")
_KEYS = (*_STRINGS, *_INTEGERS, *_LISTS_OF_STRINGS, "ports", "requests", "waivers")

_LARGEST = 1_000_000_000
_SHOWN = 80
_LABEL = r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_PATH = re.compile(r"(/(?!/)[^\x00-\x20\x7f]*)?")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HEADER = re.compile(r"([!-~]([ -~]*[!-~])?)?")


def load(root: Path) -> Config:
    """Read the settings of the project in ``root``.

    Raises:
        ConfigError: nothing deployable is there, or a setting is wrong.
    """
    table = table_of(root)
    project = _table(_document(root), "project").get("name", root.name)
    if not isinstance(project, str):
        raise ConfigError(f"pyproject.toml: [project] name must be a string, not {_shown(project)}")
    manager_config = table.get("manager_config") or _usual_manager(table, root)
    if manager_config:
        return _Reader({"manager_config": manager_config, **table}, root).config(project)
    return _read_command_alone(table, root, project)


def _usual_manager(table: dict[str, Any], root: Path) -> str | None:
    """Return the description of a manager that is taken though none is stated."""
    if "command" in table:
        return None
    return managers.first_of(root) if table else managers.find(root)


def table_of(root: Path) -> dict[str, Any]:
    """Return ``[tool.deploycheck]`` as it is written; empty if there is none.

    Raises:
        ConfigError: ``pyproject.toml`` cannot be parsed, or it is no table.
    """
    return _table(_table(_document(root), "tool"), "deploycheck", "tool.")


def _document(root: Path) -> dict[str, Any]:
    file = root / "pyproject.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except (ValueError, OSError, RecursionError) as error:
        raise ConfigError(f"pyproject.toml: {error}") from None


def _read_command_alone(table: dict[str, Any], root: Path, project: str) -> Config:
    """Read the settings of a project of which no manager runs app and proxy: what the table does not say is detected.

    Raises:
        ConfigError: there is no server to run, or a setting is wrong.
    """
    stated = table.get("command") or table.get("start")
    found = detect(root, command=stated if isinstance(stated, str) else None)
    command = found.command
    if command is None and (only := managers.first_of(root)):
        return _Reader({"manager_config": only, **table}, root).config(project)
    if command is None:
        app = f" for {found.app.target}" if found.app else ", and no ASGI app"
        raise ConfigError(
            f"nothing to check in {root}: no server command was found{app}. State them in [tool.deploycheck] of "
            'pyproject.toml, for example app = "package.main:app", command = "uvicorn package.main:app"; '
            f"or name as manager_config what {', '.join(managers.CONFIGS)} would be. See `deploycheck explain`"
        )
    requests, stated_requests = found.table.get("requests", {}), table.get("requests", {})
    if isinstance(stated_requests, dict):
        requests |= stated_requests
        table = {**table, "requests": with_defaults(requests)}
    environment = {**found.defaults, **command.environment}
    known = {"domain": ANY_HOST, **found.table, **table}
    if managers.is_supervisors(command.found.file):
        known["manager_config"] = command.found.file
    reader = _Reader(known, root, environment=environment)
    config = reader.config(project)
    if "database_url" not in table:
        _refuse_fixed_database(found.settings.get("database_url"), config.database_url or "")
    return replace(
        config,
        command=command,
        lacks=lacks(found, command, requests, table),
        hidden=tuple(name for name in reader.env if SECRET.fullmatch(name)),
    )


def _refuse_fixed_database(found: Finding | None, url: str) -> None:
    """Refuse to start an app whose database cannot be exchanged for one of the run: it would reach the real one.

    Raises:
        ConfigError: it names the line.
    """
    if found is None:
        return
    kind = url.partition(":")[0].partition("+")[0]
    if kind not in ("sqlite", "postgresql", "postgres"):
        raise ConfigError(
            f"{found.where}: the checks have no {kind} to give the app, and it must not reach this one, so nothing was "
            "started. Name an environment file without it as [tool.deploycheck] env_file"
        )
    if not found.value.startswith("$") and (kind != "sqlite" or url.partition(":///")[2].startswith("/")):
        raise ConfigError(
            f"{found.where}: the database's URL stands in the code, so the app cannot be given one of the run, and "
            "nothing was started. Read it from a variable, such as DATABASE_URL"
        )


def _table(document: dict[str, Any], key: str, above: str = "") -> dict[str, Any]:
    value = document.get(key, {})
    if not isinstance(value, dict):
        raise ConfigError(f"pyproject.toml: [{above}{key}] must be a table, not {_shown(value)}")
    return value


def _shown(value: object) -> str:
    """Return a value for a message, shortened."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # more digits than Python writes, or tables that are too deep
        text = f"that {type(value).__name__}"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


class _Reader:
    """Takes values out of the table, checks their types, and follows ``$NAME`` into the environment file."""

    def __init__(
        self, table: dict[str, Any], root: Path, *, environment: Mapping[str, str] | None = None
    ) -> None:
        """``environment``: variables that the deployment has besides those of the environment file."""
        self.table = table
        self.root = root
        self.settings: dict[str, str] = {}
        self._refuse_unknown(table, _KEYS, "tool.deploycheck")
        self.env_file = self._typed("env_file", str) or ".env"
        self.env = {**(environment or {}), **self._read_env_file()}
        self.secrets_dir = self._typed("secrets_dir", str)
        names = self._list("secrets", str) if self.secrets_dir else ()
        self.secret_files = secret_files.read(root, self.secrets_dir or "", names)

    def _read_env_file(self) -> dict[str, str]:
        file = self.root / self.env_file
        try:
            values = dotenv_values(file, encoding="utf-8") if file.is_file() else {}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self.env_file}: {error}") from None
        if any("\0" in f"{name}{value}" for name, value in values.items()):
            raise ConfigError(f"{self.env_file}: it holds a NUL byte, which no environment can hold")
        return {name: value or "" for name, value in values.items()}

    def config(self, project: str) -> Config:
        """Return the settings."""
        strings = {key: value for key in _STRINGS if (value := self._text(key)) is not None}
        strings.pop("command", None)
        if "domain" not in strings:
            raise ConfigError(
                '[tool.deploycheck] domain is missing: name the public host, for example "$DOMAIN"'
            )
        self._check(strings)
        integers = {key: number for key in _INTEGERS if (number := self._integer(key)) is not None}
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
                "env": self.env,
                "settings": self.settings,
                "manager_config": strings.get("manager_config", ""),
                "env_file": self.env_file,
                "secret_files": self.secret_files,
                "path_prefix": strings.get("path_prefix", "").rstrip("/"),
                **{key: tuple(self._list(key, str)) for key in _LISTS_OF_STRINGS},
                "ports": self._ports(),
                "requests": self._requests(),
                "waivers": self._mapping(self.table, "waivers", "tool.deploycheck"),
            }  # type: ignore[arg-type]
        )

    @staticmethod
    def _check(strings: dict[str, str]) -> None:
        """Refuse values that no program can take."""
        for key in _COMMANDS:
            try:
                words = shlex.split(strings.get(key, "true"))
            except ValueError as error:
                raise ConfigError(f"[tool.deploycheck] {key} = {_shown(strings[key])}: {error}") from None
            if not words or not words[0]:
                raise ConfigError(f"[tool.deploycheck] {key} must be a command, not empty")
        if not _HOST.fullmatch(strings["domain"]):
            raise ConfigError(
                "[tool.deploycheck] domain must be a host name such as api.example.com, "
                f"not {_shown(strings['domain'])}"
            )
        if not _PATH.fullmatch(strings.get("path_prefix", "")):
            raise ConfigError(
                "[tool.deploycheck] path_prefix must be empty, or a path that starts with /, "
                f"not {_shown(strings['path_prefix'])}"
            )

    def _ports(self) -> tuple[int, ...]:
        ports = tuple(self._list("ports", int))
        if ports and (len(set(ports)) != 2 or len(ports) != 2 or not all(0 < port < 65536 for port in ports)):
            raise ConfigError(
                f"[tool.deploycheck] ports must be two ports, for HTTP and HTTPS, not {_shown(list(ports))}"
            )
        return ports

    def _requests(self) -> Requests:
        table = self._typed("requests", dict) or {}
        where = "tool.deploycheck.requests"
        self._refuse_unknown(table, tuple(Requests.__dataclass_fields__), where)
        values: dict[str, Any] = {}
        for key in ("live", "ready", "read", "heavy", "metrics"):
            if key in table:
                values[key] = self._path(table[key], f"[{where}] {key}")
        if "write" in table:
            write = table["write"]
            if not isinstance(write, dict) or "path" not in write or set(write) - {"path", "json"}:
                raise ConfigError(f"[{where}] write must be a table: {{ path = ..., json = ... }}")
            try:
                json.dumps(write.get("json"), allow_nan=False)
            except (TypeError, ValueError, RecursionError) as error:
                raise ConfigError(f"[{where}] write.json cannot be sent as JSON: {error}") from None
            values["write"] = Write(
                path=self._path(write["path"], f"[{where}] write.path"), json=write.get("json")
            )
        headers = self._mapping(table, "headers", where)
        values["headers"] = dict(self._headers(headers, f"[{where}] headers"))
        return Requests(**values)

    def _headers(self, headers: dict[str, str], where: str) -> Iterator[tuple[str, str]]:
        for name, text in headers.items():
            value = self._expanded(text, f"{where}.{_shown(name)}")
            if not _TOKEN.fullmatch(name) or not _HEADER.fullmatch(value):
                raise ConfigError(f"{where}.{_shown(name)}: a name or value that no request header can have")
            yield name, value

    def _text(self, key: str) -> str | None:
        value = self._typed(key, str)
        if value is None:
            return None
        if value.startswith("$"):
            self.settings[key] = value.removeprefix("$")
        return self._expanded(value, f"[tool.deploycheck] {key}")

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
        if not 1 <= number <= _LARGEST or isinstance(value, float):
            raise ConfigError(f"[tool.deploycheck] {key} must be a whole number from 1, not {_shown(text)}")
        return number

    def _expanded(self, value: str, where: str) -> str:
        """Replace ``$NAME`` words by the values of the deployment; this shell's do not count in production."""
        words = []
        for word in value.split(" "):
            name = word.removeprefix("$")
            if name == word:
                words.append(word)
            elif name in self.env:
                words.append(self.env[name])
            elif name in self.secret_files:
                words.append(self.secret_files[name].value)
            else:
                raise ConfigError(f"{where} = {_shown(value)}: {self._how_to_get(name)}")
        return " ".join(words)

    def _how_to_get(self, name: str) -> str:
        """Say that a value is nowhere, and where it belongs."""
        if self.secrets_dir and name in self._list("secrets", str):
            return (
                f"{name} is neither in {self.env_file} nor in a file {self.secrets_dir}/{name.lower()}. "
                "Write it into that file"
            )
        return (
            f"{name} is not in {self.env_file}. "
            f"Make the file from its example (cp .env.example {self.env_file}) and fill it in"
        )

    def _typed(self, key: str, kind: type) -> Any:
        value = self.table.get(key)
        if value is not None and not isinstance(value, kind):
            raise ConfigError(f"[tool.deploycheck] {key} must be a {_toml_name(kind)}, not {_shown(value)}")
        if isinstance(value, str) and "\0" in value:
            raise ConfigError(f"[tool.deploycheck] {key} holds a NUL byte")
        return value

    def _list(self, key: str, kind: type) -> list[Any]:
        value = self._typed(key, list) or []
        if not all(type(item) is kind for item in value):  # True is an int, but no port
            raise ConfigError(
                f"[tool.deploycheck] {key} must be a list of {_toml_name(kind)}s, not {_shown(value)}"
            )
        return list(value)

    @staticmethod
    def _mapping(table: dict[str, Any], key: str, where: str) -> dict[str, str]:
        value = table.get(key, {})
        if not isinstance(value, dict) or not all(isinstance(item, str) for item in value.values()):
            raise ConfigError(f"[{where}.{key}] must be a table of strings, not {_shown(value)}")
        return value

    @staticmethod
    def _path(value: object, where: str) -> str:
        if not isinstance(value, str) or not value or not _PATH.fullmatch(value):
            raise ConfigError(f"{where} must be a path that starts with /, not {_shown(value)}")
        return value

    @staticmethod
    def _refuse_unknown(table: dict[str, Any], known: tuple[str, ...], where: str) -> None:
        for key in table:
            if key not in known:
                close = difflib.get_close_matches(key, known, n=1)
                hint = f": did you mean {close[0]}?" if close else f". Known: {', '.join(known)}"
                raise ConfigError(f"[{where}] has no setting {_shown(key)}{hint}")


def _toml_name(kind: type) -> str:
    return {str: "string", int: "whole number", list: "list", dict: "table"}[kind]
