"""The learner's project: where it is, and which answers to the template's questions it was made with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pytest_deploycheck.commands.error import CommandError
from pytest_deploycheck.config import Config
from pytest_deploycheck.reader import load

# The first of these that is there tells the answer. The files themselves, not a note of the answers: a project may have
# changed since it was generated.
SIGNS = {
    "process_manager": (
        ("supervisor", "deploy/supervisord.conf"),
        ("systemd", "deploy/systemd"),
        ("compose", "compose.yaml"),
        ("swarm", "deploy/swarm.yaml"),
        ("kubernetes", "deploy/kubernetes"),
        ("cloud", "deploy/cloud"),
    ),
    "https_proxy": (
        ("caddy", "deploy/Caddyfile"),
        ("nginx", "deploy/nginx.conf"),
        ("traefik", "deploy/traefik.yml"),
        ("haproxy", "deploy/haproxy.cfg"),
    ),
    "app_server": (("gunicorn", "deploy/gunicorn.conf.py"), ("uvicorn", "deploy")),
}


@dataclass(frozen=True, kw_only=True)
class Project:
    """A generated project.

    Attributes:
        root: the folder of its ``pyproject.toml``.
        slug: the name of its package.
        answers: the template's questions, and what this project answers; a question may be missing.
    """

    root: Path
    slug: str
    answers: dict[str, str]


def find_root(folder: Path) -> Path:
    """Return the nearest folder, from ``folder`` upwards, with a ``pyproject.toml`` that names ``tool.deploycheck``.

    Raises:
        CommandError: there is none.
    """
    for root in (folder, *folder.parents):
        file = root / "pyproject.toml"
        if file.is_file() and "[tool.deploycheck]" in file.read_text(encoding="utf-8", errors="replace"):
            return root
    raise CommandError(
        f"{folder} is in no project with [tool.deploycheck] in pyproject.toml: go to a generated project"
    )


def find(folder: Path) -> Project:
    """Return the project that a folder is in.

    Raises:
        CommandError: there is none.
        ConfigError: its settings are wrong.
    """
    root = find_root(folder.resolve())
    config = load(root)
    return Project(root=root, slug=_slug(config), answers=answers_of(config))


def _slug(config: Config) -> str:
    return (config.app or config.project.replace("-", "_")).partition(":")[0].partition(".")[0]


def answers_of(config: Config) -> dict[str, str]:
    """Return what a project answers to the template's questions."""
    found = {
        question: answer
        for question, signs in SIGNS.items()
        if (answer := next((name for name, file in signs if (config.root / file).exists()), None))
    }
    if config.database_url:
        dialect = config.database_url.partition(":")[0].partition("+")[0]
        found["database"] = "postgresql" if dialect == "postgres" else dialect
    return found
