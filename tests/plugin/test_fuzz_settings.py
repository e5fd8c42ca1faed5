"""Whatever stands in a project's own files: its settings are read, or one line says which one is wrong."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fuzz import PROFILE, TEXTS
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_deploycheck import databases
from pytest_deploycheck.config import Config, ConfigError, Requests
from pytest_deploycheck.reader import load
from pytest_deploycheck.sandbox.project_copy import copy_project

KEYS = [*Config.__dataclass_fields__, *Requests.__dataclass_fields__, "deploycheck", "typo"]
RIGHT: dict[str, Any] = {"domain": "example.com", "manager_config": "supervisord.conf"}
VALUES = st.recursive(
    TEXTS.filter(str.isprintable)
    | st.integers()
    | st.booleans()
    | st.floats()
    | st.sampled_from(
        ["$NAME", "/health", "sqlite:///a.db", "example.com", "deploy/start", 1, 2, 8080, 65536]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)
TABLES = st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty folder."""
    path = Path(tempfile.mkdtemp())
    yield path
    shutil.rmtree(path)


def toml(value: object) -> str:
    """Write a value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(str(key))} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        escaped = "".join(
            char if char.isprintable() and char not in '"\\' else f"\\U{ord(char):08x}" for char in value
        )
        return f'"{escaped}"'
    return str(value).lower()


def read(folder: Path, document: bytes, env: bytes = b"NAME=2\n") -> Config | ConfigError:
    """Read a project; anything but its settings or their own error fails the test."""
    (folder / "pyproject.toml").write_bytes(document)
    (folder / ".env").write_bytes(env)
    try:
        config = load(folder)
        databases.find(config)
    except ConfigError as error:
        return error
    assert config.workers >= 1
    assert config.requests.live.startswith("/")
    return config


@PROFILE
@given(table=TABLES, request=TABLES)
@example(table={"workers": "$NAME", "ports": [True]}, request={})
@example(table={"start": "deploy/start '"}, request={})
@example(table={"path_prefix": "api"}, request={"headers": {"a b": "ä"}})
def test_any_table(folder: Path, table: dict[str, Any], request: dict[str, Any]) -> None:
    """Values of any type in ``[tool.deploycheck]``."""
    document = {"tool": {"deploycheck": {**RIGHT, "requests": request, **table}}}
    found = read(folder, "\n".join(f"{key} = {toml(item)}" for key, item in document.items()).encode())
    if isinstance(found, ConfigError):
        assert len(str(found).splitlines()) == 1
        assert any(word in str(found) for word in (*table, *request, ".env"))


@PROFILE
@given(document=TABLES.map(toml).map(str.encode) | st.binary(max_size=40) | TEXTS.map(str.encode))
@example(document=b"tool = 3")
@example(document=b"tool.deploycheck = 3")
@example(document=b'project = []\n[tool.deploycheck]\ndomain = "x"')
@example(document=b'[project]\nname = 3\n[tool.deploycheck]\ndomain = "x"')
@example(document=b"a = " + b"9" * 5000)
@example(document=b"[tool.deploycheck]\nworkers = 0x" + b"f" * 5000)
@example(document=b"a = " + b"[" * 5000)
@example(document=b'a = "\xff"')
def test_any_document(folder: Path, document: bytes) -> None:
    """Broken TOML, other bytes than UTF-8, and tables where none is expected."""
    found = read(folder, document)
    assert isinstance(found, ConfigError)


@PROFILE
@given(
    env=st.binary(max_size=60)
    | st.lists(st.tuples(st.sampled_from(["NAME", "export NAME", "OTHER", "#", ""]), TEXTS), max_size=5).map(
        lambda lines: "\n".join(f"{name}={value}" for name, value in lines).encode()
    )
)
@example(env=b"NAME='2\n")
@example(env=b"NAME=${NAME}\nNAME=1\0")
@example(env=b"NAME=\xff")
def test_any_environment_file(folder: Path, env: bytes) -> None:
    """``$NAME`` in settings, and any text in the file that it leads to."""
    settings = 'domain = "$NAME"\nmanager_config = "x"\nworkers = "$NAME"'
    found = read(folder, f"[tool.deploycheck]\n{settings}".encode(), env)
    if isinstance(found, Config):
        assert found.workers == int(found.env["NAME"])
    else:
        assert "domain" in str(found) or ".env" in str(found) or "workers" in str(found)


@PROFILE
@given(
    url=st.tuples(st.sampled_from(["sqlite", "sqlite+aiosqlite", "sqlitex", "mysql", ""]), TEXTS).map(
        ":".join
    )
)
@example(url="sqlite:///:memory:")
@example(url="sqlite://")
@example(url="sqlite:////srv/../a.db?mode=ro")
@example(url="sqlite:///../../../../srv/a.db")
def test_any_database_url(folder: Path, url: str) -> None:
    """A database is found inside the copy, or the setting is named."""
    found = read(folder, f"[tool.deploycheck]\n{RIGHT_LINES}\ndatabase_url = {toml(url)}".encode())
    if isinstance(found, ConfigError):
        assert "database_url" in str(found) or ".env" in str(found)
        return
    copy: Any = SimpleNamespace(root=folder)
    database = databases.find(found)
    assert database.version(copy) is None
    if database.NAME == "sqlite":
        assert str(database.file(copy).resolve()).startswith(f"{folder.resolve()}/")  # type: ignore[attr-defined]


RIGHT_LINES = "\n".join(f"{key} = {toml(value)}" for key, value in RIGHT.items())


@PROFILE
@given(
    patterns=st.lists(TEXTS | st.sampled_from(["!", "!/", "/", "**", "***", "a/**/b", "[", "\\", "!.env"]))
)
@example(patterns=["\udcff"])
def test_any_gitignore(folder: Path, patterns: list[str]) -> None:
    """The copy is made, with the environment file and without what git leaves out."""
    project, target = folder / "project", folder / "copy"
    project.mkdir(exist_ok=True)
    lines = "\n".join([*patterns, "secret.txt", ".env"])
    (project / ".gitignore").write_bytes(lines.encode(errors="surrogateescape"))
    for name in (".env", "secret.txt"):
        (project / name).touch()
    copy_project(project, target, also=[".env"])
    assert (target / ".env").is_file()
    assert not (target / "secret.txt").exists()
    shutil.rmtree(target)
