"""Which of pytest's arguments name checks, and the file at which the checks stand."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT_ID = "deploycheck"
ANCHOR = "pyproject.toml"


def anchor_of(root: Path) -> Path:
    """Return the file at which the checks stand: ``pyproject.toml``, or in a project without one another file.

    Not a Python file: pytest would import it for tests.
    """
    usual = root / ANCHOR
    others = (path for path in sorted(root.iterdir()) if path.is_file() and path.suffix != ".py")
    return usual if usual.is_file() else next(others, usual)


def split(config: pytest.Config) -> tuple[list[str], list[str]]:
    """Return the arguments that name own tests, and those that name checks as pytest can find them.

    Node ids of checks are pasted back as arguments.
    """
    anchor = anchor_of(config.rootpath)
    translated = [
        str(anchor) + arg.removeprefix(ROOT_ID) if arg.startswith(f"{ROOT_ID}::") else arg
        for arg in config.args
    ]
    checks = [arg for arg in translated if Path(arg.partition("::")[0]).name == anchor.name]
    return [arg for arg in translated if arg not in checks], checks


def add_checks(config: pytest.Config) -> None:
    """Make the session collect the checks, too, unless some are named.

    Where a folder around the anchor is collected anyway, it is not named once more: pytest 8 would forget the folder.
    """
    own, checks = split(config)
    folders = [config.invocation_params.dir / arg for arg in own]
    is_collected = any(config.rootpath.is_relative_to(folder.resolve()) for folder in folders)
    config.args[:] = [*own, *checks] if is_collected else [*own, *of_checks(config)]


def of_checks(config: pytest.Config) -> list[str]:
    """Return the arguments that are needed to collect the checks: those that name some, or the anchor for all."""
    _, named = split(config)
    return named or [str(anchor_of(config.rootpath))]


def leave_checks_out(config: pytest.Config) -> None:
    """Make the session collect no check: another process makes them.

    Raises:
        pytest.UsageError: a path to own tests leads nowhere, of which workers of pytest-xdist say nothing.
    """
    own, _ = split(config)
    for arg in own:
        path = config.invocation_params.dir / arg.partition("::")[0]
        if not path.exists() and not config.option.pyargs:
            raise pytest.UsageError(f"file or directory not found: {arg}")
    config.args[:] = own
