"""What detection makes of single lines and files, also of those that are wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
from fuzz import PROFILE
from hypothesis import given
from hypothesis import strategies as st

from pytest_deploycheck.config import ConfigError
from pytest_deploycheck.detection import detect
from pytest_deploycheck.detection.files import ProjectFiles
from pytest_deploycheck.detection.scripts import with_imported_server
from pytest_deploycheck.detection.words import server_words
from pytest_deploycheck.need import Need
from pytest_deploycheck.reader import load

APP = "from fastapi import FastAPI\n\napp = FastAPI()\n"


def write(folder: Path, **files: str) -> Path:
    """Write files; ``__`` in a name stands for ``/``, ``_dot_`` for a dot."""
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("line", "server", "target", "port", "workers"),
    [
        ("uvicorn main:app", "uvicorn", "main:app", None, None),
        ("uvicorn main:app --port=80 --workers 3", "uvicorn", "main:app", 80, "3"),
        ("/opt/venv/bin/uvicorn main:app --port $PORT", "uvicorn", "main:app", 9000, None),
        ("poetry run gunicorn -w 4 -b 0.0.0.0:${PORT:-8001} a.b:app", "gunicorn", "a.b:app", 9000, "4"),
        ("gunicorn -b :${OTHER:-8001} a.b:app", "gunicorn", "a.b:app", 8001, None),
        ("gunicorn 'shop:create_app()' -w ${WEB:-2}", "gunicorn", "shop:create_app()", None, "$WEB"),
        ("fastapi run app/main.py --workers 2", "fastapi", None, None, "2"),
        ("daphne -b 0.0.0.0 -p 8080 shop.asgi:application", "daphne", "shop.asgi:application", 8080, None),
        ("hypercorn app:app --bind unix:/run/app.sock", "hypercorn", "app:app", None, None),
        ("uv run --no-sync uvicorn main:app", "uvicorn", "main:app", None, None),
    ],
)
def test_words(line: str, server: str, target: str | None, port: int | None, workers: str | None) -> None:
    """Server, app, port and workers are what the server would take them for."""
    words = server_words(line, {"PORT": "9000"})
    assert words
    assert (words.server, words.target, words.port, words.workers) == (server, target, port, workers)


@pytest.mark.parametrize(
    "line", ["pip install uvicorn-worker", "celery -A app worker", "fastapi --version", ""]
)
def test_words_of_other_commands(line: str) -> None:
    """What starts no server is no server's command."""
    assert server_words(line, {}) is None


def test_an_app_that_a_factory_of_its_module_makes(tmp_path: Path) -> None:
    """The app is taken, as `fastapi run` takes it, not the factory; what the factory needs does not matter then."""
    factory = "from fastapi import FastAPI\n\ndef create_app(name):\n    return FastAPI(root_path='/api')\n\n"
    write(tmp_path, main_dot_py=f"{factory}app = create_app('x')\n")
    (app,) = detect(tmp_path).apps
    assert (app.target, app.framework, app.root_path, app.is_factory) == (
        "main:app",
        "FastAPI",
        "/api",
        False,
    )


def test_development_comes_last(tmp_path: Path) -> None:
    """A command that reloads is not taken for production's: the usual one is."""
    write(tmp_path, main_dot_py=APP, Procfile="web: uvicorn main:app --reload\n")
    found = detect(tmp_path)
    assert found.command
    assert found.command.line == "uvicorn main:app"
    assert [command.is_for_development for command in found.commands] == [False, True]


def test_tests_are_no_app(tmp_path: Path) -> None:
    """An app of the tests, or of an example, is not the project's."""
    write(tmp_path, tests__main_dot_py=APP, examples__app_dot_py=APP, src__shop__web_dot_py=APP)
    assert [app.found.file for app in detect(tmp_path).apps] == ["src/shop/web.py"]


def test_folders_of_an_image(tmp_path: Path) -> None:
    """Continued lines, comments, exec and shell forms, and the last stage's CMD are read as Docker does."""
    recipe = (
        'FROM a AS build\nCMD ["ignored"]\nFROM b\nENV A=1 \\\n    # a comment\n    B="two words"\n'
        "WORKDIR /code\nWORKDIR sub\nCOPY app /code/app\nEXPOSE 9000/tcp\n"
        'ENTRYPOINT ["uvicorn"]\nCMD ["app.main:app", "--port", "9000"]\n'
    )
    write(tmp_path, Dockerfile=recipe, app__main_dot_py=APP)
    command = detect(tmp_path).command
    assert command
    assert command.line == "uvicorn app.main:app --port 9000"
    assert command.environment == {"A": "1", "B": "two words"}
    assert command.port == 9000
    assert command.in_project("/code/app/main.py") == "app/main.py"


def test_stated_command_wins(tmp_path: Path) -> None:
    """What the table states is run, whatever else the files say."""
    write(
        tmp_path,
        main_dot_py=APP,
        Procfile="web: uvicorn main:app --workers 3\n",
        pyproject_dot_toml='[tool.deploycheck]\ncommand = "uvicorn main:app --port 7000"\nworkers = 1\n',
    )
    config = load(tmp_path)
    assert config.command
    assert config.command.line == "uvicorn main:app --port 7000"
    assert config.command.found.where == "pyproject.toml:2"
    assert config.workers == 1


def test_default_of_a_variable(tmp_path: Path) -> None:
    """A database whose variable is not set is the one of the code, and a setting all the same."""
    code = 'import os\nURL = os.getenv("DATABASE_URL", "sqlite:///./a.db")\n'
    config = load(write(tmp_path, main_dot_py=APP, database_dot_py=code))
    assert config.database_url == "sqlite:///./a.db"
    assert config.settings["database_url"] == "DATABASE_URL"


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (
            'URL = "postgresql://me:pass@db.example.com/shop"\n',
            "database.py:1: the database's URL stands in the code",
        ),
        ('URL = "sqlite:////var/lib/shop/shop.db"\n', "database.py:1: the database's URL stands in the code"),
        (
            'import os\nURL = os.getenv("DATABASE_URL", "mysql://db/shop")\n',
            "database.py:2: the checks have no mysql",
        ),
    ],
)
def test_real_databases_are_never_reached(tmp_path: Path, code: str, said: str) -> None:
    """An app whose database cannot be exchanged is not started; the message has no password in it."""
    write(tmp_path, main_dot_py=APP, database_dot_py=code)
    with pytest.raises(ConfigError) as error:
        load(tmp_path)
    assert said in str(error.value)
    assert "pass@" not in str(error.value)


def test_memory_is_no_database(tmp_path: Path) -> None:
    """What is gone with its process cannot be looked at."""
    write(tmp_path, main_dot_py=APP, database_dot_py='URL = "sqlite:///:memory:"\n')
    assert load(tmp_path).database_url is None


def test_supervisor_without_a_proxy(tmp_path: Path) -> None:
    """Supervisor itself runs its program; who it is, is named."""
    conf = "[program:shop]\ncommand=/srv/shop/.venv/bin/uvicorn main:app --port 8000\nautorestart=true\n"
    config = load(write(tmp_path, main_dot_py=APP, supervisord_dot_conf=conf))
    assert config.command
    assert config.command.line == "uvicorn main:app --port 8000"
    assert config.command.runner == "Supervisor (supervisord.conf [program:shop])"
    assert config.manager_config == "supervisord.conf"
    assert Need.PROXY in config.lacks
    assert Need.MANAGER not in config.lacks


TEXTS = st.text(st.characters(codec="utf-8"), max_size=60)
LINES = st.lists(
    st.sampled_from(
        [
            "FROM a",
            "CMD",
            "ENV",
            "services:",
            "  a:",
            "    build: .",
            "app = FastAPI(",
            "web: uvicorn",
            "[program:x]",
            "\\",
        ]
    )
    | TEXTS,
    max_size=8,
).map("\n".join)


@PROFILE
@given(
    text=LINES,
    name=st.sampled_from(["Dockerfile", "compose.yaml", "Procfile", "main.py", ".env", "supervisord.conf"]),
)
def test_no_file_breaks_detection(tmp_path_factory: pytest.TempPathFactory, text: str, name: str) -> None:
    """Whatever a file holds: detection finds something or nothing, and never fails."""
    folder = tmp_path_factory.mktemp("any")
    (folder / name).write_text(text, encoding="utf-8")
    detect(folder)


@pytest.mark.parametrize(
    ("line", "path"),
    [("expose(app)", "/metrics"), ('expose(app, endpoint="/api/metrics")', "/api/metrics")],
)
def test_metrics_of_the_usual_package(line: str, path: str, tmp_path: Path) -> None:
    """prometheus-fastapi-instrumentator adds a route that no decorator shows."""
    write(tmp_path, main_dot_py=f"{APP}Instrumentator().instrument(app).{line}\n")
    assert detect(tmp_path).settings["requests.metrics"].value == path
    assert Need.METRICS not in load(tmp_path).lacks


@pytest.mark.parametrize(
    ("line", "known_by"),
    [
        ("python serve.py", "uvicorn python serve.py"),
        ("python -u app.py", "python -u app.py"),
        ("gunicorn -c serve.py app:app", "gunicorn -c serve.py app:app"),
        ("python missing.py", "python missing.py"),
    ],
)
def test_a_python_file_is_known_by_the_server_that_it_imports(
    tmp_path: Path, line: str, known_by: str
) -> None:
    """The server is put in front of the command; FastAPI is none, and a command that names a server needs no help."""
    write(tmp_path, serve_dot_py="from app import app\nfrom uvicorn import Server\n", app_dot_py=APP)
    assert with_imported_server(ProjectFiles(tmp_path), line) == known_by


def test_a_script_is_known_by_the_python_file_that_it_becomes(tmp_path: Path) -> None:
    """It names no server itself, and the server that the file imports names no app."""
    write(
        tmp_path,
        main_dot_py=APP,
        Dockerfile='FROM python\nWORKDIR /app\nCOPY . .\nCMD ["deploy/serve"]\n',
        deploy__serve="#!/bin/sh\necho exec\nexec python -P deploy/run_dot_py\n".replace("_dot_", "."),
        deploy__run_dot_py="import sys\n\nfrom uvicorn import Config, Server\n",
    )
    found = detect(tmp_path)
    assert found.command
    assert (found.command.line, found.command.server_line) == (
        "deploy/serve",
        "uvicorn python -P deploy/run.py",
    )
    assert found.command.words
    assert found.command.words.target is None
    assert found.app
    assert found.app.target == "main:app"
