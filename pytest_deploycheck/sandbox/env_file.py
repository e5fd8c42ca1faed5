"""The environment file of a copy."""

from __future__ import annotations

import dotenv

from pytest_deploycheck.sandbox.run import ProjectCopy


def set_value(copy: ProjectCopy, name: str, value: str | None) -> None:
    """Change a line of the copy's environment file, or take it out."""
    file = copy.root / copy.run.config.env_file
    if value is None:
        dotenv.unset_key(file, name)
    else:
        dotenv.set_key(file, name, value, quote_mode="never")
