"""What stands around the app: proxy, process manager, migrations, environment file."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pytest_deploycheck.detection.compose import find_compose_files, read_compose
from pytest_deploycheck.detection.files import ProjectFiles, literal
from pytest_deploycheck.detection.finding import Finding

ENV_FILES = (
    ".env",
    ".env.production",
    ".env.prod",
    ".env.example",
    ".env.sample",
    ".env.template",
    "example.env",
)
_SITES = {
    "caddy": (r"(.*\.)?Caddyfile(\..*)?", re.compile(r"^(?:https?://)?((?:[\w-]+\.)+[a-z]{2,})\S*\s*\{")),
    "nginx": (
        r".*nginx.*\.conf(\.template)?|default\.conf|.+\.nginx",
        re.compile(r"^\s*server_name\s+([\w.-]+\.[\w-]+)"),
    ),
    "haproxy": (r"haproxy.*\.cfg", re.compile(r"hdr\(host\)\s+(?:-i\s+)?([\w.-]+\.[\w-]+)")),
    "traefik": (r"traefik.*\.(ya?ml|toml)", re.compile(r"Host\(`([\w.-]+)`\)")),
}
SECRET = re.compile(r".*(SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|PRIVATE_KEY|CREDENTIAL).*", re.IGNORECASE)


def find_proxies(files: ProjectFiles) -> list[Finding]:
    """Return configurations of proxies, and services of compose files that are one."""
    found = [
        Finding(kind="proxy", value=program, file=file)
        for program, (names, _) in _SITES.items()
        for file in files.named(names)
    ]
    composed = (read_compose(files, file).proxy for file in find_compose_files(files))
    return [*found, *filter(None, composed)]


def find_domain(files: ProjectFiles) -> Finding | None:
    """Return the public host that a proxy, or the app itself, answers to."""
    for names, site in _SITES.values():
        for file in files.named(names):
            for number, line in files.lines(file):
                if found := site.search(line):
                    return Finding(kind="domain", value=found[1], file=file, line=number)
    composed = (read_compose(files, file).domain for file in find_compose_files(files))
    return next(filter(None, composed), None) or next(_allowed_hosts(files), None)


def _allowed_hosts(files: ProjectFiles) -> Iterator[Finding]:
    """Yield hosts of Django's ``ALLOWED_HOSTS`` and Starlette's ``allowed_hosts``."""
    names = re.compile(r"(?:ALLOWED_HOSTS|allowed_hosts)\s*=\s*(\[[^\]]*\])")
    for file in files.python:
        for number, line in files.lines(file):
            if (found := names.search(line)) and (hosts := _strings(found[1])):
                plain = [host.lstrip(".") for host in hosts if "*" not in host]
                if plain and "*" not in hosts:
                    yield Finding(kind="domain", value=plain[0], file=file, line=number)


def _strings(text: str) -> list[str]:
    import ast

    try:
        value = literal(ast.parse(text, mode="eval").body)
    except SyntaxError:
        return []
    return [item for item in value or () if isinstance(item, str) and item]


def find_migrations(files: ProjectFiles) -> Finding | None:
    """Return Alembic's settings, or the first migration of Django."""
    for file in files.named(r"alembic\.ini"):
        return Finding(kind="migrations", value="alembic", file=file)
    for number, line in files.lines("pyproject.toml"):
        if line.strip() == "[tool.alembic]":
            return Finding(kind="migrations", value="alembic", file="pyproject.toml", line=number)
    for file in files.python:
        if re.search(r"(^|/)migrations/0001_\w+\.py$", file):
            return Finding(kind="migrations", value="django", file=file)
    return None


def find_env_file(files: ProjectFiles) -> Finding | None:
    """Return the environment file, or its example."""
    for name in ENV_FILES:
        if (files.root / name).is_file():
            return Finding(kind="env_file", value=name, file=name)
    nested = [file for file in files.all if file.rpartition("/")[2] in ENV_FILES]
    return Finding(kind="env_file", value=nested[0], file=nested[0]) if nested else None
