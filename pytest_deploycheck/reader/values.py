"""The values of the deployment, for which ``$NAME`` stands in the table: its environment file, and its secrets."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from pytest_deploycheck.config import ConfigError
from pytest_deploycheck.reader.secret_files import read_secrets
from pytest_deploycheck.reader.table import list_of, shown, typed


class Values:
    """What ``env_file``, ``secrets`` and ``secrets_dir`` of ``[tool.deploycheck]`` lead to."""

    def __init__(self, table: dict[str, Any], root: Path, environment: Mapping[str, str]) -> None:
        """``environment``: variables that the deployment has besides those of the environment file."""
        self.env_file = typed(table, "env_file", str) or ".env"
        self.env = {**environment, **_read(root, self.env_file)}
        self.secrets = list_of(table, "secrets", str)
        self.secrets_dir = typed(table, "secrets_dir", str)
        self.secret_files = read_secrets(root, self.secrets_dir, self.secrets) if self.secrets_dir else {}

    def expanded(self, text: str, where: str) -> str:
        """Replace ``$NAME`` words by the values; this shell's do not count in production.

        Raises:
            ConfigError: one is nowhere.
        """
        return " ".join(self._expanded(word, text, where) for word in text.split(" "))

    def _expanded(self, word: str, text: str, where: str) -> str:
        name = word.removeprefix("$")
        if name == word:
            return word
        if name in self.env:
            return self.env[name]
        if name in self.secret_files:
            return self.secret_files[name].value
        raise ConfigError(f"{where} = {shown(text)}: {self._how_to_get(name)}")

    def _how_to_get(self, name: str) -> str:
        """Say that a value is nowhere, and where it belongs."""
        if self.secrets_dir and name in self.secrets:
            return (
                f"{name} is neither in {self.env_file} nor in a file {self.secrets_dir}/{name.lower()}. "
                "Write it into that file"
            )
        return (
            f"{name} is not in {self.env_file}. "
            f"Make the file from its example (cp .env.example {self.env_file}) and fill it in"
        )


def _read(root: Path, env_file: str) -> dict[str, str]:
    file = root / env_file
    try:
        values = dotenv_values(file, encoding="utf-8") if file.is_file() else {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{env_file}: {error}") from None
    if any("\0" in f"{name}{value}" for name, value in values.items()):
        raise ConfigError(f"{env_file}: it holds a NUL byte, which no environment can hold")
    return {name: value or "" for name, value in values.items()}
