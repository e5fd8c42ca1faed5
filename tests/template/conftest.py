"""Projects baked from the template."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from cookiecutter.main import cookiecutter

REPOSITORY = Path(__file__).parents[2]
COMBINATIONS = [
    {"https_proxy": proxy, "app_server": server, "path_prefix": prefix}
    for proxy in ("caddy", "haproxy", "nginx", "traefik")
    for server in ("gunicorn", "uvicorn")
    for prefix in ("", "/api/v1")
]
COMBINATIONS.append(COMBINATIONS[0] | {"database": "postgresql"})
COMBINATIONS += [
    {"https_proxy": proxy, "app_server": server, "path_prefix": "", "process_manager": "systemd"}
    for proxy, server in (
        ("caddy", "gunicorn"),
        ("caddy", "uvicorn"),
        ("haproxy", "gunicorn"),
        ("nginx", "uvicorn"),
        ("traefik", "uvicorn"),
    )
]

Bake = Callable[..., Path]


def bake_into(
    folder: Path, *, template: str = str(REPOSITORY), over: bool = False, **answers: object
) -> Path:
    """Make a project; nothing of the user's own Cookiecutter settings takes part or is changed."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder.parent / "cookiecutter-settings.json"
    kept = folder.parent / "cookiecutter"
    settings.write_text(
        json.dumps({"cookiecutters_dir": str(kept / "clones"), "replay_dir": str(kept / "replay")})
    )
    answers = {"plugin_requirement": "pytest", "git_init": False} | answers
    made = cookiecutter(
        template,
        no_input=True,
        extra_context=answers,
        output_dir=str(folder),
        config_file=str(settings),
        overwrite_if_exists=over,
    )
    return Path(made)


@pytest.fixture(autouse=True)
def scratch(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Cookiecutter leave its copies of the hooks where they are thrown away."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("scratch")))


@pytest.fixture
def bake(tmp_path: Path) -> Bake:
    """Make a project with these answers, in a folder of this test's own."""
    return lambda **answers: bake_into(tmp_path / "projects", **answers)


@pytest.fixture(
    scope="session", params=COMBINATIONS, ids=lambda answers: "-".join(answers.values()).replace("/", "")
)
def project(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make each of the combinations once; a test must not change it."""
    return bake_into(tmp_path_factory.mktemp("combination") / "projects", **request.param)
