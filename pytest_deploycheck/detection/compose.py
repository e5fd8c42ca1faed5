"""Compose files: the service that runs the app, its proxy, who starts it again, and what it is given."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from dotenv import dotenv_values
from ruamel.yaml.comments import CommentedMap

from pytest_deploycheck.detection import dockerfile
from pytest_deploycheck.detection.files import ProjectFiles
from pytest_deploycheck.detection.finding import Finding, ServerCommand
from pytest_deploycheck.detection.scripts import with_server
from pytest_deploycheck.detection.words import expanded

NAMES = r"(docker-)?compose([.-][\w.-]+)?\.ya?ml"
STACK_NAMES = r"([\w-]+\.)?(swarm|stack)\.ya?ml"
PROXIES = ("traefik", "caddy", "nginx", "haproxy")
_HOST = re.compile(r"Host\(`([^`]+)`")


@dataclass(frozen=True, kw_only=True)
class Composed:
    """What one compose file says of a deployment."""

    command: ServerCommand | None
    proxy: Finding | None
    domain: Finding | None
    findings: tuple[Finding, ...] = field(default=())


def describes_containers(file: str | None) -> bool:
    """Tell whether a file is a Compose file, or the stack file of a swarm."""
    name = PurePosixPath(file or "").name
    return re.fullmatch(NAMES, name) is not None or describes_swarm(file)


def describes_swarm(file: str | None) -> bool:
    """Tell whether a file is the stack file of a swarm: it is named after that, such as ``deploy/swarm.yaml``."""
    return re.fullmatch(STACK_NAMES, PurePosixPath(file or "").name) is not None


def find_compose_files(files: ProjectFiles) -> list[str]:
    """Return all compose files, those of production first."""
    found = files.named(NAMES)
    return sorted(
        found, key=lambda file: ("prod" not in file, re.search("dev|override|test", file) is not None)
    )


def read_compose(files: ProjectFiles, file: str) -> Composed:
    """Read one compose file."""
    document = files.yaml(file)
    services: Any = document.get("services") if isinstance(document, dict) else None
    if not isinstance(services, CommentedMap):
        return Composed(command=None, proxy=None, domain=None)
    folder = str(PurePosixPath(file).parent)
    values = _values(files, [f"{folder}/.env"])
    command, proxy, domain, findings = None, None, None, []
    for name, service in services.items():
        if not isinstance(service, CommentedMap):
            continue
        line = services.lc.key(name)[0] + 1
        findings.append(Finding(kind="compose service", value=str(name), file=file, line=line))
        if program := _proxy(service):
            proxy = Finding(kind="proxy", value=program, file=file, line=line)
        labels = dict(_pairs(service.get("labels")))
        for label, text in labels.items():
            host = _HOST.search(expanded(text, values)) if label.endswith(".rule") else None
            if host:
                at = _line_with(files, file, label)
                domain = Finding(kind="domain", value=host[1], file=file, line=at)
                proxy = proxy or Finding(kind="proxy", value="traefik", file=file, line=at)
        found = _command(files, file, str(name), service, values, labels)
        if found and command is None and (found := with_server(files, found)).words:
            command = found
    return Composed(command=command, proxy=proxy, domain=domain, findings=tuple(findings))


def _proxy(service: Mapping[str, Any]) -> str | None:
    image = str(service.get("image", "")).rpartition("/")[2].partition(":")[0]
    return next((program for program in PROXIES if image.startswith(program)), None)


def _command(
    files: ProjectFiles,
    file: str,
    name: str,
    service: Any,
    values: Mapping[str, str],
    labels: Mapping[str, str],
) -> ServerCommand | None:
    folder = PurePosixPath(file).parent
    image, environment = dockerfile.Image(), dict[str, str]()
    found_in, line = file, service.lc.line + 1
    build = service.get("build")
    if build is not None:
        context = str(build.get("context", ".") if isinstance(build, dict) else build)
        where = PurePosixPath(_normal(folder / context))
        recipe = str(
            where / (build.get("dockerfile", "Dockerfile") if isinstance(build, dict) else "Dockerfile")
        )
        image = dockerfile.read_image(files, recipe, str(where))
        found_in, line = recipe, image.line
    written = service.get("command")
    words, is_shell = image.words, image.is_shell
    if written:
        # A string is split into words, not given to a shell: compose specification, "command".
        text = shlex.join(map(str, written)) if isinstance(written, list) else str(written)
        words, is_shell = _unwrapped(f"{image.entrypoint} {text}".strip())
        found_in, line = file, service.lc.key("command")[0] + 1
    if not words:
        return None
    env_files = service.get("env_file") or []
    listed = [env_files] if isinstance(env_files, str) else env_files
    paths = [str(one.get("path") if isinstance(one, dict) else one) for one in listed]
    environment |= image.environment
    environment |= _values(files, [str(folder / path) for path in paths])
    environment |= {key: expanded(value, values) for key, value in _pairs(service.get("environment"))}
    workdir = str(service.get("working_dir") or image.folder)
    restart = service.get("restart")
    policy = f"restart: {restart}" if restart else "no restart:"
    port = next(
        (value for label, value in labels.items() if label.endswith("loadbalancer.server.port")), None
    )
    command = ServerCommand(
        line=words if is_shell else expanded(words, values),
        is_shell=is_shell,
        found=Finding(kind="command", value=words, file=found_in, line=line),
        environment=environment,
        runner=f"a container engine ({file}, service {name}, {policy})",
        port=int(port) if port and port.isdecimal() else image.port,
        moves=image.moves,
    )
    moved = command.in_project(workdir)
    return replace(command, folder="." if moved.startswith("/") else moved)


def _unwrapped(text: str) -> tuple[str, bool]:
    try:
        words = shlex.split(text)
    except ValueError:
        return text, True
    if len(words) == 3 and words[0].rpartition("/")[2] in ("sh", "bash") and words[1].endswith("c"):
        return words[2].replace("$$", "$"), True
    return text, False


def _pairs(value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        yield from ((str(key), "" if text is None else _text(text)) for key, text in value.items())
    elif isinstance(value, list):
        for item in value:
            key, equals, text = str(item).partition("=")
            if equals:
                yield key, text


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _values(files: ProjectFiles, paths: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in paths:
        file = files.root / _normal(PurePosixPath(path))
        if file.is_file() and file.resolve().is_relative_to(files.root.resolve()):
            try:
                found |= {key: value or "" for key, value in dotenv_values(file, encoding="utf-8").items()}
            except (OSError, UnicodeDecodeError):
                continue
    return found


def _normal(path: PurePosixPath) -> str:
    """Resolve ``.`` and ``..`` without asking the disk."""
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        elif part not in (".", ".."):
            parts.append(part)
    return "/".join(parts) or "."


def _line_with(files: ProjectFiles, file: str, text: str) -> int:
    return next((number for number, line in files.lines(file) if text in line), 1)
