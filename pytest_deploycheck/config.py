"""``[tool.deploycheck]``: what the project says of its deployment. ``reader`` reads it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_deploycheck.detection.finding import ServerCommand
from pytest_deploycheck.need import Need

if TYPE_CHECKING:
    from pytest_deploycheck.proxies.protocol import Proxy
    from pytest_deploycheck.stacks.kubernetes.cluster import Cluster


class ConfigError(Exception):
    """A setting is wrong. The message is one line that names the file, the setting and the fix."""

    def __init__(self, message: str) -> None:
        """A value in the message may hold anything, also line ends."""
        super().__init__(" ".join(message.split()))


@dataclass(frozen=True, kw_only=True)
class SecretFile:
    """A secret that is in a file of its own: where, relative to the project, and what it is."""

    path: str
    value: str


@dataclass(frozen=True, kw_only=True)
class Write:
    """A request that creates something and answers 201 with a ``Location`` to read it back from."""

    path: str
    json: object = None


@dataclass(frozen=True, kw_only=True)
class Requests:
    """Requests that the project answers, as paths below ``path_prefix``."""

    live: str = "/health/live"
    ready: str = "/health/ready"
    read: str = "/"
    write: Write | None = None
    heavy: str | None = None
    metrics: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Config:
    """The settings of one project.

    Attributes:
        root: the folder of ``pyproject.toml``.
        env: the values of ``env_file``.
        secret_files: the secrets that are in files of ``secrets_dir``, by name.
        settings: which environment variable holds a setting, for the settings that were given as ``$NAME``.
        proxy_config: the proxy's configuration, where its command names a file that is made from it at the start.
        workers: all of them, in all replicas.
        replicas: how many containers of the app there are, which share the workers evenly.
        memory_limit_mb: for all processes of the app together, in MiB.
        max_body_mb: the largest request body that the proxy lets through, in MiB.
        hang_timeout_s: how long a worker may hang before it is replaced, in seconds.
        connections: how many connections the deployment must hold at the same time.
        max_connections: how many the database's server takes in production; None = as many as that of the run.
        reload: the command that brings a new release into service without dropping a request.
        renewal_hook: the command that is run after a certificate was renewed; none where the proxy renews by itself.
        enable: the command that lets the machine's start start the deployment; it honours ``DESTDIR``.
        health_check: the command whose exit status says whether the app is healthy.
        once: functions, as ``module:name``, that must run once in a deployment, whatever the number of workers.
        database_server: a server on which the run makes databases of its own; None = it starts a server.
        disposable_database_servers: hosts, or hosts and ports, that are not the server of production for certain.
        more_proxies: those that plugins bring; no setting.
        cluster: where the project's pods run, if an option names one; no setting.
        command: the server's command, where no manager of the project can be run; ``manager_config`` is empty then.
        lacks: what checks need and the project has not, each with what to add.
        hidden: variables of ``env`` whose values reports do not show, beside ``secrets``.
        ports: fixed sandbox ports ``[http, https]`` of the public entry; free ones are taken if empty.
    """

    root: Path
    project: str
    env: dict[str, str]
    settings: dict[str, str]
    domain: str
    manager_config: str
    proxy_config: str | None = None
    start: str | None = None
    previous_steps: str | None = None
    app: str | None = None
    env_file: str = ".env"
    secrets: tuple[str, ...] = ()
    secrets_dir: str | None = None
    secret_files: Mapping[str, SecretFile] = field(default_factory=dict)
    path_prefix: str = ""
    workers: int = 1
    replicas: int = 1
    memory_limit_mb: int | None = None
    max_body_mb: int | None = None
    hang_timeout_s: int = 30
    connections: int = 100
    max_connections: int | None = None
    reload: str | None = None
    renewal_hook: str | None = None
    enable: str | None = None
    health_check: str | None = None
    once: tuple[str, ...] = ()
    database_url: str | None = None
    database_server: str | None = None
    disposable_database_servers: tuple[str, ...] = ()
    command: ServerCommand | None = None
    lacks: Mapping[Need, str] = field(default_factory=dict)
    hidden: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    requests: Requests = field(default_factory=Requests)
    waivers: dict[str, str] = field(default_factory=dict)
    more_proxies: tuple[Proxy, ...] = ()
    cluster: Cluster | None = None

    def value_of(self, name: str) -> str | None:
        """Return a value of the deployment, None if it has none; a line of ``env_file`` beats the file of a secret."""
        if name in self.env:
            return self.env[name]
        return self.secret_files[name].value if name in self.secret_files else None

    @property
    def unversioned_files(self) -> tuple[str, ...]:
        """The files that a deployment needs, and that git ignores: its values and its secrets."""
        return (self.env_file, *(file.path for file in self.secret_files.values()))
