"""Which description of a process manager a project has that can be run: one with the app and its proxy."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

UNITS = "deploy/systemd"
# How a file of Supervisor's is named.
SUPERVISOR = r".*supervisor.*\.(conf|ini)"
# What renders the manifests of Kubernetes: a program, and the word that tells it to.
RENDERERS = (("kubectl", "kustomize"), ("kustomize", "build"))
CONFIGS = ("deploy/supervisord.conf", "supervisord.conf", "etc/supervisord.conf", UNITS)
_PROXY = re.compile(
    r"^\s*(?:command|ExecStart)\s*=(?:.*[\s/])?(caddy|nginx|traefik|haproxy)(\s|$)", re.MULTILINE
)


def find(root: Path) -> str | None:
    """Return the first of the usual files that runs a proxy too; None where there is none.

    The others' proxy runs elsewhere, if there is one. Supervisor runs the app without it then; of a unit of systemd the
    command is run alone.
    """
    return next((name for name in CONFIGS if _has_proxy(root / name)), None)


def _has_proxy(path: Path) -> bool:
    files = sorted(path.glob("*.service")) if path.is_dir() else [path]
    return any(_PROXY.search(_text(file)) for file in files)


def is_supervisors(file: str) -> bool:
    """Tell whether a file of a project is Supervisor's: it is run with the app alone, if there is no proxy in it."""
    return re.fullmatch(SUPERVISOR, PurePosixPath(file).name, re.IGNORECASE) is not None


def first_of(root: Path) -> str | None:
    """Return the first of the usual files, whatever it runs."""
    return next((name for name in CONFIGS if (root / name).exists()), None)


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    except OSError:
        return ""
