"""SQLite's files while others use them: they come and go at any moment."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import cast

import pytest

from pytest_deploycheck.config import Config
from pytest_deploycheck.databases.sqlite import SQLite
from pytest_deploycheck.sandbox.run import ProjectCopy, Run


def test_it_is_taken_away_while_its_last_connection_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever closes the last connection removes ``-wal`` and ``-shm``; what was written is there in the end."""
    config = Config(
        root=tmp_path,
        project="notes",
        env={},
        settings={},
        domain="example.com",
        manager_config="x",
        database_url="sqlite:///notes.db",
    )
    database, copy = SQLite(config), ProjectCopy(run=cast("Run", None), root=tmp_path)
    other = sqlite3.connect(tmp_path / "notes.db")
    other.execute("PRAGMA journal_mode=wal")
    other.execute("CREATE TABLE written (by)")
    rename = Path.rename

    def rename_slowly(path: Path, target: Path) -> Path:
        if path.name == "notes.db":
            other.close()
        return rename(path, target)

    assert (tmp_path / "notes.db-wal").exists()
    monkeypatch.setattr(Path, "rename", rename_slowly)
    with database.away(copy):
        assert [path.name for path in tmp_path.iterdir()] == ["away-notes.db"]
    assert "written" in database.schema(copy)
    with closing(sqlite3.connect(tmp_path / "notes.db")) as again:
        assert again.execute("PRAGMA integrity_check").fetchone() == ("ok",)
