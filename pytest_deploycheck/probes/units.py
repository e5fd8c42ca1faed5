"""systemd's units below a folder: which of them the start of a machine with these files starts, and what they run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# What systemd brings up at the machine's start, whichever of the usual targets default.target is.
BOOT_TARGETS = ("default", "graphical", "multi-user", "basic", "sysinit")
UNIT_FOLDERS = (
    "etc/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
    "lib/systemd/system",
)
EXEC_PREFIXES = "@-:+!"
SECONDS = {
    "": 1, "ms": 0.001, "s": 1, "sec": 1, "second": 1, "seconds": 1, "m": 60, "min": 60, "minute": 60, "minutes": 60,
    "h": 3600, "hr": 3600, "hour": 3600, "hours": 3600,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A service.

    Attributes:
        name: with its suffix.
        file: the unit file itself.
        settings: the values of each ``(section, key)``, in their order, drop-ins last.
    """

    name: str
    file: Path
    settings: dict[tuple[str, str], list[str]]

    def commands(self, key: str) -> list[str]:
        """Return the command lines of ``ExecStart`` and the like."""
        return [value.lstrip(EXEC_PREFIXES) for value in self.settings.get(("Service", key), [])]

    @property
    def folder(self) -> Path:
        """The working directory."""
        return Path(self.last("WorkingDirectory") or "/")

    @property
    def environment(self) -> dict[str, str]:
        """The variables of ``Environment=``."""
        words = [
            word for value in self.settings.get(("Service", "Environment"), []) for word in shlex.split(value)
        ]
        return dict(word.split("=", 1) for word in words if "=" in word)

    def last(self, key: str) -> str:
        """Return the value of a key of [Service] that counts; empty if it is not there."""
        values = self.settings.get(("Service", key))
        return values[-1] if values else ""

    def seconds(self, key: str, default: float) -> float:
        """Return a time span in seconds, infinity too; ``default`` if it is not there. See ``systemd.time(7)``."""
        text = self.last(key)
        if text == "infinity":
            return float("inf")
        found = re.findall(r"([0-9.]+)\s*([a-z]*)", text)
        return sum(float(number) * SECONDS[unit] for number, unit in found if unit in SECONDS) or default


def written_units(root: Path) -> list[str]:
    """Return the names of all services below ``root``, started or not."""
    return sorted({path.name for folder in UNIT_FOLDERS for path in (root / folder).glob("*.service")})


def all_units(root: Path) -> dict[str, Unit]:
    """Return all services below ``root``, started or not; of templates the instances that are enabled."""
    names = {name for name in written_units(root) if "@." not in name}
    names |= {link.name for link in _links(root) if "@." not in link.name}
    return {
        name: Unit(name=name, file=file, settings=_read(root, name, file))
        for name in sorted(names)
        if (file := _file(root, name))
    }


def settings_of(root: Path, suffix: str) -> dict[str, dict[tuple[str, str], list[str]]]:
    """Return the settings of all units below ``root`` of another kind, such as ``.socket``, by their names."""
    found = {path.name: path for folder in UNIT_FOLDERS for path in (root / folder).glob(f"*{suffix}")}
    return {name: _read(root, name, file) for name, file in sorted(found.items())}


def template_of(name: str) -> str:
    """Return what an instance is made from, ``worker@.service`` for ``worker@1.service``; others as they are."""
    return re.sub(r"@[^.]*\.", "@.", name)


def units_of_the_start(root: Path) -> list[Unit]:
    """Return the services that the targets of a machine's start pull in, by links that ``systemctl enable`` makes."""
    names = sorted({link.name for link in _links(root)})
    return [
        Unit(name=name, file=file, settings=_read(root, name, file))
        for name in names
        if (file := _file(root, name))
    ]


def _links(root: Path) -> Iterator[Path]:
    for folder in UNIT_FOLDERS:
        for target in BOOT_TARGETS:
            for kind in ("wants", "requires"):
                yield from (root / folder / f"{target}.target.{kind}").glob("*.service")


def _file(root: Path, name: str) -> Path | None:
    """Return the file of a unit; None if there is none, or if it is masked by a link to /dev/null."""
    for file in (root / folder / found for found in (name, template_of(name)) for folder in UNIT_FOLDERS):
        if file.is_file():
            return file
        if file.is_symlink():
            inside = root / str(file.readlink()).lstrip("/")
            return inside if inside.is_file() else None
    return None


def _read(root: Path, name: str, file: Path) -> dict[tuple[str, str], list[str]]:
    """Read a unit and its drop-ins: a key may be there several times, and an empty value forgets those before."""
    settings: dict[tuple[str, str], list[str]] = {}
    drop_ins = [
        path
        for folder in UNIT_FOLDERS
        for owner in dict.fromkeys((template_of(name), name, *_prefixes(name)))
        for path in (root / folder / f"{owner}.d").glob("*.conf")
    ]
    for path in [file, *sorted(drop_ins, key=lambda path: path.name)]:
        section = ""
        for line in path.read_text(encoding="utf-8").replace("\\\n", " ").splitlines():
            text = line.strip()
            if text.startswith("[") and text.endswith("]"):
                section = text[1:-1]
            elif text and text[0] not in "#;":
                key, _, value = (part.strip() for part in text.partition("="))
                settings[section, key] = [*settings.get((section, key), []), value] if value else []
    return settings


def _prefixes(name: str) -> Iterator[str]:
    """Yield the names whose drop-ins count for a unit too: for ``a-b-c.service`` those of ``a-b-`` and ``a-``."""
    stem, _, suffix = name.rpartition(".")
    parts = stem.split("-")
    for count in range(len(parts) - 1, 0, -1):
        yield f"{'-'.join(parts[:count])}-.{suffix}"
