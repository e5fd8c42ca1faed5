"""Secrets that are files: ``[tool.deploycheck] secrets_dir`` is the folder that holds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

from pytest_deploycheck.config import ConfigError, SecretFile


def read_secrets(root: Path, folder: str, names: Iterable[str]) -> dict[str, SecretFile]:
    """Read the files of those secrets that have one, by the names of their settings.

    Args:
        root: the project.
        folder: where they are, relative to it.
        names: of the settings; a file has the same name, or that in small letters.

    Raises:
        ConfigError: the folder is outside of the project, or a file cannot be read.
    """
    if ".." in PurePosixPath(folder).parts or PurePosixPath(folder).is_absolute():
        raise ConfigError(
            f"[tool.deploycheck] secrets_dir must be a folder of the project, such as .secrets, not {folder}"
        )
    return dict(_found(root, folder, names))


def _found(root: Path, folder: str, names: Iterable[str]) -> Iterator[tuple[str, SecretFile]]:
    paths = {
        f"{folder}/{spelling}": name for name in names if "/" not in name for spelling in (name, name.lower())
    }
    for path, name in paths.items():
        try:
            value = (root / path).read_text(encoding="utf-8").strip() if (root / path).is_file() else None
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path}: {error}") from None
        if value is not None:
            yield name, SecretFile(path=path, value=value)
