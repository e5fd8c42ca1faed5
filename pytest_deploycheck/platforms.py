"""Which systems can run the checks. On others the modules beside this one cannot even be imported."""

from __future__ import annotations

import sys

from pytest_deploycheck.check import COURSE_URL

INSTEAD = {
    "darwin": ("macOS", "Use a Linux container or virtual machine, or CI"),
    "win32": ("Windows", "Use WSL 2, and keep the project in WSL's own files"),
}


def is_supported() -> bool:
    """Tell whether this is Linux, where stacks can be watched."""
    return sys.platform.startswith("linux")


def can_read_manifests() -> bool:
    """Tell whether at least what is declared can be read here: macOS has all modules that the plugin imports."""
    return sys.platform != "win32"


def refusal(asked_for: str) -> str:
    """Return the one line that says why this system cannot do something, and what the user can do.

    Args:
        asked_for: a command or an option.
    """
    name, instead = INSTEAD.get(sys.platform, (sys.platform, "Use Linux"))
    return (
        f"{asked_for} needs Linux, and this is {name}: the checks watch the processes of your stack in /proc. "
        f"{instead}. Your own tests run here without it. More: {COURSE_URL}/platforms/"
    )
