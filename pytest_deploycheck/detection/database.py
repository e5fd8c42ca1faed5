"""The database's URL: a setting of the environment, or a text in the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping

from pytest_deploycheck.detection.files import ProjectFiles, calls, literal, name_of
from pytest_deploycheck.detection.finding import Finding

URL = re.compile(
    r"(sqlite|postgres|postgresql|mysql|mariadb|oracle|mssql|mongodb)(\+\w+)?(\+srv)?://.*", re.DOTALL
)
NAME = re.compile(r"[A-Z_]*(DATABASE|DB|SQLALCHEMY|POSTGRES|PG)[A-Z_]*(URL|URI|DSN)", re.IGNORECASE)


def find_database(files: ProjectFiles, env_files: tuple[str, ...], env: Mapping[str, str]) -> Finding | None:
    """Return the URL: as ``$NAME`` where a variable of the environment holds it.

    Args:
        files: of the project.
        env_files: where a variable may be written, for the line.
        env: the environment of the deployment.
    """
    for name, value in env.items():
        if (
            URL.fullmatch(value)
            and not _is_in_memory(value)
            and (NAME.fullmatch(name) or value.startswith(("sqlite", "postgres")))
        ):
            for file in env_files:
                for number, line in files.lines(file):
                    if re.search(rf"\b{name}\b", line):
                        return Finding(kind="database_url", value=f"${name}", file=file, line=number)
    return next((found for found in _in_code(files) if not _is_in_memory(found.value)), None)


def defaults_in_code(files: ProjectFiles) -> dict[str, str]:
    """Return the URLs that the code takes where the variable is not set, by variable."""
    return {variable: url for variable, url, _, _ in _defaults(files)}


def _is_in_memory(url: str) -> bool:
    """Tell whether each process has a database of its own, which is gone with it: none that checks could look at."""
    return url in ("sqlite://", "sqlite+aiosqlite://") or ":memory:" in url or "mode=memory" in url


def _in_code(files: ProjectFiles) -> Iterator[Finding]:
    for variable, url, file, line in _defaults(files):
        if _is_in_memory(url):
            continue
        yield Finding(kind="database_url", value=f"${variable}", file=file, line=line)
    for file in files.python:
        if "://" not in files.text(file):
            continue
        for node in files.tree(file).body:
            value = literal(node.value) if isinstance(node, ast.Assign | ast.AnnAssign) else None
            if isinstance(value, str) and URL.fullmatch(value):
                yield Finding(kind="database_url", value=value, file=file, line=node.lineno)
    for file in files.python:
        if "create_engine" in files.text(file) or "create_async_engine" in files.text(file):
            for name, call in calls(files.tree(file)):
                value = literal(call.args[0]) if call.args else None
                if name in ("create_engine", "create_async_engine") and isinstance(value, str):
                    yield Finding(kind="database_url", value=value, file=file, line=call.lineno)


def _defaults(files: ProjectFiles) -> Iterator[tuple[str, str, str, int]]:
    """Yield names of variables with the URL that the code takes without them: ``getenv``, and pydantic's settings."""
    for file in files.python:
        if "://" not in files.text(file):
            continue
        tree = files.tree(file)
        for name, call in calls(tree):
            if name in ("get", "getenv", "config", "env", "str") and len(call.args) > 1:
                variable, url = literal(call.args[0]), literal(call.args[1])
                if isinstance(variable, str) and isinstance(url, str) and URL.fullmatch(url):
                    yield variable, url, file, call.lineno
        prefixed = re.search(r"env_prefix\s*=\s*[\"'](\w+)", files.text(file))
        prefix = prefixed[1] if prefixed else ""
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef) and any(name_of(base) == "BaseSettings" for base in node.bases):
                for field in node.body:
                    if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                        url = literal(field.value)
                        if isinstance(url, str) and URL.fullmatch(url):
                            yield f"{prefix}{field.target.id}".upper(), url, file, field.lineno
