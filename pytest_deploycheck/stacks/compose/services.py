"""What a Compose file says of its services, once Compose itself has read it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from pytest_deploycheck.detection.dockerfile import line_of_shell, read_image
from pytest_deploycheck.detection.files import ProjectFiles
from pytest_deploycheck.detection.scripts import with_imported_server

DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
# The official image starts with one of them only.
POSTGRES = {"POSTGRES_PASSWORD", "POSTGRES_PASSWORD_FILE", "POSTGRES_HOST_AUTH_METHOD"}
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A named volume in a container: its name, its place in the copy, and its place in the container."""

    name: str
    here: Path
    there: str


@dataclass(frozen=True, kw_only=True)
class Services:
    """The services of one Compose file, and its named volumes.

    Attributes:
        root: the copy of the project that it belongs to.
        own_images: the names of images that are built from the project, where the file itself does not build them.
        secrets: the files of secrets, by name.
    """

    root: Path
    by_name: Mapping[str, Mapping[str, Any]]
    volumes: frozenset[str]
    own_images: frozenset[str] = frozenset()
    secrets: Mapping[str, Path] = field(default_factory=dict)

    @property
    def commands(self) -> dict[str, str]:
        """What each service runs; where that is a script of the project, what the script becomes."""
        files = ProjectFiles(self.root)
        return {
            name: with_imported_server(files, self._command(service))
            for name, service in self.by_name.items()
        }

    def _command(self, service: Mapping[str, Any]) -> str:
        words = self._words(service)
        file = self.root / words[0] if words else None
        if file and file.is_file():
            text = file.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
            if lines := re.findall(r"^\s*(?:exec )?(\S.*)$", text, re.MULTILINE):
                executed = re.findall(r"^\s*exec (.+)$", text, re.MULTILINE)
                return str(executed[-1] if executed else lines[-1])
        return shlex.join(words)

    def _words(self, service: Mapping[str, Any]) -> list[str]:
        said = service.get("command")
        if not said and self.is_own(service):
            build = self._build(service)
            image = read_image(ProjectFiles(self.root), build, str(PurePosixPath(build).parent))
            said = image.words
        words = shlex.split(said) if isinstance(said, str) else [str(word) for word in said or ()]
        line = line_of_shell(words)
        words = words if line is None else shlex.split(line)
        return words[1:] if words[:1] == ["exec"] else words

    def _build(self, service: Mapping[str, Any]) -> str:
        """Return the Dockerfile that the image of a service is built from, relative to the project."""
        same = (one for one in self._built() if one.get("image") == service.get("image"))
        build = service.get("build") or next(same, {"build": "."})["build"]
        build = {"context": build} if isinstance(build, str) else build
        context = Path(build.get("context") or ".")
        file = self.root / context / (build.get("dockerfile") or "Dockerfile")
        return file.relative_to(self.root).as_posix() if file.is_relative_to(self.root) else "Dockerfile"

    def _built(self) -> list[Mapping[str, Any]]:
        return [service for service in self.by_name.values() if service.get("build")]

    def is_script(self, service: Mapping[str, Any]) -> bool:
        """Tell whether a service runs a file of the project."""
        words = self._words(service)
        return bool(words) and (self.root / words[0]).is_file()

    def is_own(self, service: Mapping[str, Any]) -> bool:
        """Tell whether a service runs an image that is built from the project."""
        built = {one.get("image") for one in self._built()}
        return bool(service.get("build")) or service.get("image") in built | self.own_images

    @property
    def database(self) -> str | None:
        """The service that is a PostgreSQL server: it gets what the official image asks for."""
        for name, service in self.by_name.items():
            if not self.is_own(service) and POSTGRES & variables_of(service).keys():
                return name
        return None

    @property
    def database_secrets(self) -> dict[str, str]:
        """The secrets that the database gets, and where: the password is one of them."""
        said = self.by_name[self.database].get("secrets") or () if self.database else ()
        long = ({"source": one} if isinstance(one, str) else one for one in said)
        # Compose 2 says whole paths, where the file itself says names.
        return {
            str(one["source"]): str(PurePosixPath("/run/secrets", one.get("target") or one["source"]))
            for one in long
        }

    def mounts(self) -> dict[str, Mount]:
        """Return the named volumes of services, by name; each gets a folder of the copy.

        Those that only the database has stay volumes: the folder belongs to a user whom only its image knows.
        """
        found = {}
        for name, service in self.by_name.items():
            if name == self.database:
                continue
            workdir = PurePosixPath(service.get("working_dir") or "/app")
            for volume, target in map(mount_of, service.get("volumes") or ()):
                path = PurePosixPath(target)
                place = path.relative_to(workdir) if path.is_relative_to(workdir) else Path("var", volume)
                if volume in self.volumes:
                    found[volume] = Mount(name=volume, here=self.root / place, there=target)
        return found


def is_certbot(service: Mapping[str, Any]) -> bool:
    """Tell whether a service runs an image of certbot, which answers its issuer at a port that is moved."""
    return re.search(r"(^|/)certbot\b", str(service.get("image"))) is not None


def variables_of(service: Mapping[str, Any]) -> dict[str, str]:
    """Return the environment of a service, which a file gives as a table or as a list."""
    said = service.get("environment") or {}
    pairs = said.items() if isinstance(said, Mapping) else (str(line).partition("=")[::2] for line in said)
    return {str(name): "" if value is None else str(value) for name, value in pairs}


def mount_of(mount: object) -> tuple[str, str]:
    """Return source and target of a mount, in its short or its long form."""
    if isinstance(mount, dict):
        return str(mount.get("source", "")), str(mount.get("target", ""))
    source, _, rest = str(mount).partition(":")
    return source, rest.partition(":")[0]


def seconds(text: object, usual: float) -> float:
    """Return a duration of Compose, such as ``1m30s``, in seconds."""
    found = DURATION.findall(str(text or ""))
    return sum(float(number) * SECONDS[unit] for number, unit in found) if found else usual
