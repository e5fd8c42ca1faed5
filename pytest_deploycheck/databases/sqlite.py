"""SQLite: a file, with ``-wal`` and ``-shm`` beside it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from urllib.parse import quote

from pytest_deploycheck.advice import Advice
from pytest_deploycheck.config import Config, ConfigError
from pytest_deploycheck.outcome import NotApplicable, NotVerified
from pytest_deploycheck.sandbox.run import ProjectCopy

SUFFIXES = ("", "-wal", "-shm")


class SQLite:
    """The database file of a copy: where the URL has a relative path it moves with the copy by itself."""

    NAME = "sqlite"
    ADVICE: Mapping[str, Advice] = MappingProxyType(
        {
            "BOOT003": Advice(
                "migrations/env.py",
                None,
                "connect again for a while: the folder of the file may be mounted late",
            ),
            "PRE003": Advice(
                "migrations/env.py",
                None,
                "BEGIN IMMEDIATE first of all: BEGIN takes the lock only for writing",
            ),
            "PRE004": Advice(
                "migrations/env.py",
                None,
                "SQLite takes back CREATE TABLE too, but Python's sqlite3 does not BEGIN before it: do that yourself",
            ),
            "PRE007": Advice(
                "migrations/env.py", None, "render_as_batch=True: SQLite alters little of a table"
            ),
        }
    )

    def __init__(self, config: Config) -> None:
        self.setting = config.settings.get("database_url")
        # sqlite:///relative.db, sqlite:////absolute.db, each with an optional +driver and ?query
        self.scheme, _, rest = (config.database_url or "").partition(":///")
        path, question, query = rest.partition("?")
        self.path = Path(path.removeprefix("file:"))
        if not self.path.name or ":memory:" in path or "mode=memory" in query:
            raise ConfigError(
                "[tool.deploycheck] database_url must name a file, such as sqlite:///var/app.db: "
                "each process would have a database of its own"
            )
        # A copy must never reach a file of the real project.
        self.is_outside = self.path.is_absolute() or ".." in self.path.parts
        self.query = question + query
        self._volume: Path | None = None

    def verify(self) -> None:
        """There is no server."""

    def file(self, copy: ProjectCopy) -> Path:
        """Return the database file of a copy."""
        if self._volume:
            return self._volume / self.path.name
        if self.is_outside:
            return copy.root / "var" / self.path.name
        return copy.root / self.path

    def url(self, copy: ProjectCopy) -> str:
        """Return an URL that names the copy's file from any folder."""
        return f"{self.scheme}:///{self.file(copy)}{self.query}"

    def relocate(self, copy: ProjectCopy) -> dict[str, str]:
        """Give a path outside the project a new place; a relative one is in the copy already."""
        return self.environment(copy) if self.is_outside else {}

    def environment(self, copy: ProjectCopy) -> dict[str, str]:
        """Name the copy's file by an absolute path, and make its folder."""
        self.file(copy).parent.mkdir(parents=True, exist_ok=True)
        return {self.setting: self.url(copy)} if self.setting else {}

    def version(self, copy: ProjectCopy) -> str | None:
        """Return the revision in ``alembic_version``."""
        try:
            with closing(self._connect(copy)) as connection:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
        return str(row[0]) if row else None

    def set_version(self, copy: ProjectCopy, version: str | None) -> None:
        """Overwrite the revision in ``alembic_version``, None = no row."""
        with closing(self._connect(copy)) as connection, connection:
            connection.execute("DELETE FROM alembic_version")
            if version is not None:
                connection.execute("INSERT INTO alembic_version (version_num) VALUES (?)", (version,))

    def schema(self, copy: ProjectCopy) -> dict[str, str]:
        """Return the SQL of each table and index."""
        with closing(self._connect(copy)) as connection:
            rows = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name"
            )
            return {str(name): str(sql) for name, sql in rows}

    def _connect(self, copy: ProjectCopy) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{quote(str(self.file(copy)))}?mode=rw", uri=True, timeout=10)

    def connections(self, copy: ProjectCopy) -> int:
        """Nobody counts those who have opened a file."""
        raise NotApplicable("SQLite is a file: it has no limit of connections")

    max_connections = connections

    @contextmanager
    def away(self, copy: ProjectCopy) -> Iterator[None]:
        """Rename the database's files, as if their volume were gone, and bring them back."""
        file, moved = self.file(copy), dict[Path, Path]()
        try:
            for path in (file.with_name(file.name + suffix) for suffix in SUFFIXES):
                # SQLite removes -wal and -shm whenever the last connection is closed: at this very moment, too.
                with suppress(FileNotFoundError):
                    moved[path] = path.rename(path.with_name("away-" + path.name))
            yield
        finally:
            for path, away in moved.items():
                away.replace(path)

    def arrives_late(self, copy: ProjectCopy) -> tuple[dict[str, str], Callable[[], None]]:
        """Lead the copy to a folder that is not there yet, as if its volume were mounted late.

        Raises:
            NotVerified: the URL is no setting.
        """
        if not self.setting:
            raise NotVerified(
                "the database's URL is no setting that could name a late one: "
                'write [tool.deploycheck] database_url = "$NAME_OF_THE_SETTING"'
            )
        volume = copy.root.with_suffix(".volume")
        self._volume = volume
        return {self.setting: self.url(copy)}, volume.mkdir
