"""Programs that a stack needs."""

from __future__ import annotations

import shutil
from pathlib import Path

from pytest_deploycheck.outcome import NotVerified

# What a process gets that is started with no PATH, as by init: see `man 3 execvp` and systemd's DefaultPath.
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require(program: str, environment: Path, *, install: str) -> None:
    """Make sure that a program is in the project's virtual environment or in the system.

    Raises:
        NotVerified: it is not; the message says how to install it.
    """
    path = f"{environment / 'bin'}:{SYSTEM_PATH}"
    if shutil.which(program, path=path) is None:
        raise NotVerified(
            f"{program} is not installed, neither in {environment.name} nor in the system: {install}"
        )
