"""Secrets as files: git ignores them, so a copy of the project has only those that ``secrets_dir`` names."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.values import READABLE
from pytest_deploycheck.stacks.compose.services import Services


def secret_files(document: Mapping[str, Any], folder: Path) -> dict[str, Path]:
    """Return the files of the secrets of a Compose or stack file, by name; relative paths begin in ``folder``."""
    said = (document.get("secrets") or {}).items()
    return {str(name): Path(folder, one["file"]).resolve() for name, one in said if one and "file" in one}


def make_secrets(copy: ProjectCopy, services: Services) -> list[str]:
    """Give the copy the files that it lacks: those of the project, and a random text where that has none either.

    The password of the database is always one of the run, for the database is too. Return the names of the random ones.
    """
    made = []
    for name, file in services.secrets.items():
        if file.exists() or not file.is_relative_to(copy.root):
            continue
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        own = copy.run.config.root / file.relative_to(copy.root)
        if own.is_file() and name not in services.database_secrets:
            shutil.copyfile(own, file)
        else:
            text = copy.run.shared(("secret", name), lambda: secrets.token_hex(24))
            file.write_text(text, encoding="ascii")
            made.append(name)
        file.chmod(READABLE)
    return made
