"""What was found in a project's files, and where."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pytest_deploycheck.detection.words import ServerWords, server_words


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that a file says.

    Attributes:
        kind: what it is, such as ``app`` or ``proxy``.
        value: what was found, in words or as a setting of ``[tool.deploycheck]`` takes it.
        file: relative to the project.
        line: from 1.
    """

    kind: str
    value: str
    file: str
    line: int = 1

    @property
    def where(self) -> str:
        """The place, as editors and terminals open it."""
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class ServerCommand:
    """A command that starts the app's server.

    Attributes:
        line: as it is written.
        is_shell: whether a shell runs it.
        found: where.
        folder: where it is run, relative to the project.
        environment: what it gets besides the environment file.
        runner: who starts it, and starts it again, where a file of the project names somebody; what that file is.
        port: at which the file says that the app listens; None = the command tells.
        moves: folders of an image, each with the one of the project that is copied there.
        server_line: the line that names the server, where the command is a script that runs it.
        before: what the runner runs before it.
        stops_all: whether the runner sends SIGTERM to all processes, and not only to the first one.
    """

    line: str
    is_shell: bool
    found: Finding
    folder: str = "."
    environment: dict[str, str] = field(default_factory=dict)
    runner: str | None = None
    port: int | None = None
    moves: dict[str, str] = field(default_factory=dict)
    server_line: str = ""
    before: str = ""
    stops_all: bool = False

    @property
    def words(self) -> ServerWords | None:
        """What the server's words say; None if no server is known in them."""
        return server_words(self.server_line or self.line, self.environment)

    @property
    def is_for_development(self) -> bool:
        """Whether nobody means it for production."""
        words = (self.server_line or self.line).split()
        return "--reload" in words or "--debug" in words or ("fastapi" in words and "dev" in words)

    def in_project(self, path: str) -> str:
        """Return a path of the image as it is in the project, relative to it; other paths as they are."""
        for image, project in sorted(self.moves.items(), key=lambda pair: -len(pair[0])):
            if path == image or path.startswith(image.rstrip("/") + "/"):
                rest = path.removeprefix(image).lstrip("/")
                return str(PurePosixPath(project) / rest)
        return path
