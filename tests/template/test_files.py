"""What a baked project consists of, whatever was answered."""

from __future__ import annotations

import ast
import json
import os
import re
import stat
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from conftest import REPOSITORY, Bake

OTHER = {"gunicorn": "uvicorn", "uvicorn": "gunicorn"}
# Traefik's own files are templates too, in Go's language.
GO = re.compile(r'{{ (env "[A-Z_]+"|if ne .*?|ne .*?|end) }}')
PROXIES = {"caddy": "Caddyfile", "haproxy": "haproxy.cfg", "nginx": "nginx.conf", "traefik": "traefik.yml"}
# Both servers use Uvicorn's ProxyHeadersMiddleware.
SHARED = re.compile(r'uvicorn\.middleware|"uvicorn>=')


def texts(project: Path) -> dict[str, str]:
    """Read all files, by their paths in the project."""
    return {
        str(path.relative_to(project)): path.read_text(encoding="utf-8")
        for path in sorted(project.rglob("*"))
        if path.is_file()
    }


def server(project: Path) -> str:
    """Tell which server was chosen."""
    return "gunicorn" if (project / "deploy" / "gunicorn.conf.py").exists() else "uvicorn"


def test_nothing_of_the_template_remains(project: Path) -> None:
    """No Jinja, and no word of Cookiecutter, is left in any path or text."""
    for path, text in texts(project).items():
        assert not re.search(r"\{\{(?!})|\{%|\{#|cookiecutter", path + GO.sub("", text.replace("${{", ""))), (
            path
        )


def test_nothing_of_the_other_server_remains(project: Path) -> None:
    """The choice that was not made is not mentioned, configured or installed."""
    other = OTHER[server(project)]
    for path, text in texts(project).items():
        assert other not in path
        lines = [line for line in text.lower().splitlines() if not SHARED.search(line)]
        assert not [line for line in lines if other in line], path


def test_nothing_of_the_other_proxies_remains(project: Path) -> None:
    """The same for the proxy."""
    others = [name for name, file in PROXIES.items() if not (project / "deploy" / file).exists()]
    assert len(others) == len(PROXIES) - 1
    for path, text in texts(project).items():
        assert not [other for other in others if other in (path + text).lower()], path


def test_nothing_of_the_other_manager_remains(project: Path) -> None:
    """Under systemd nothing names Supervisor; under Supervisor one unit starts it, and no more."""
    if (project / "deploy/systemd").exists():
        for path, text in texts(project).items():
            assert "supervisor" not in (path + text).lower(), path
    else:
        assert len(list(project.glob("deploy/**/*.service"))) == 1
        assert not (project / "deploy/run").exists()


def test_only_the_chosen_database_is_named(project: Path) -> None:
    """Nothing of the other one is left."""
    other = "sqlite" if "psycopg" in (project / "pyproject.toml").read_text() else "postgres"
    for path, text in texts(project).items():
        assert other not in (path + text).lower(), path


def test_texts_are_tidy(project: Path) -> None:
    """Branches of the template leave no gaps: no trailing blanks, no run of empty lines, one newline at the end."""
    for path, text in texts(project).items():
        assert not re.search(r"[ \t]$", text, re.MULTILINE), path
        assert "\n\n\n\n" not in text, path
        if not path.endswith((".py", ".mako")):
            assert "\n\n\n" not in text, path
        assert text.endswith("\n"), path
        assert not text.endswith("\n\n"), path
        assert not text.startswith("\n"), path


def test_scripts_are_executable_and_portable(project: Path) -> None:
    """They can be started, and a plain POSIX shell understands them."""
    scripts = [
        file
        for file in (project / "deploy").iterdir()
        if file.is_file() and not file.suffix and file.name != "Caddyfile"
    ]
    assert len(scripts) >= 4
    for script in scripts:
        assert stat.S_IMODE(script.stat().st_mode) == 0o755
        subprocess.run(["sh", "-n", script], check=True)


def test_caddyfile_is_formatted(project: Path) -> None:
    """`caddy fmt` would change nothing."""
    if not (project / "deploy" / "Caddyfile").exists():
        pytest.skip("another proxy")
    subprocess.run(
        [Path(sys.executable).parent / "caddy", "fmt", project / "deploy" / "Caddyfile"],
        check=True,
        stdout=subprocess.DEVNULL,
    )


def test_no_path_is_fixed_when_baked(project: Path) -> None:
    """A project can be moved and copied: it does not know where it was made."""
    for path, text in texts(project).items():
        assert str(project) not in text, path


def test_settings_cover_the_example(project: Path) -> None:
    """Each line of `.env.example` has its field, and each field its line: none can be forgotten."""
    package = next((project / "src").iterdir())
    tree = ast.parse((package / "settings.py").read_text())
    model = next(node for node in tree.body if isinstance(node, ast.ClassDef))
    fields = {node.target.id.upper() for node in model.body if isinstance(node, ast.AnnAssign)}
    assert fields == set(re.findall(r"^([A-Z_]+)=", (project / ".env.example").read_text(), re.MULTILINE))


def test_secret_is_fresh_private_and_ignored(bake: Bake) -> None:
    """Two projects have two tokens, in files that only their owner can read and git does not see."""
    tokens = set()
    for slug in ("first", "second"):
        project = bake(project_slug=slug, git_init=True)
        env = project / ".env"
        assert stat.S_IMODE(env.stat().st_mode) == 0o600
        tokens.add(re.search(r"^API_TOKEN=([\w-]{43})$", env.read_text(), re.MULTILINE)[1])
        for path in (".env", "var/", ".venv/"):
            subprocess.run(["git", "check-ignore", "-q", path], cwd=project, check=True)
        listed = subprocess.run(["git", "ls-files"], cwd=project, check=True, capture_output=True, text=True)
        assert ".env.example" in listed.stdout.split()
        assert ".env" not in listed.stdout.split()
    assert len(tokens) == 2


def test_secret_survives_baking_over_it(bake: Bake) -> None:
    """A project that is made anew on top of itself keeps the token that its clients know."""
    token = (bake() / ".env").read_text()
    assert (bake(over=True) / ".env").read_text() == token


def test_pyproject_tells_deploycheck_everything(project: Path) -> None:
    """What the plugin needs to know is in `[tool.deploycheck]`, by names of `.env`, never by a second copy."""
    table = tomllib.loads((project / "pyproject.toml").read_text())["tool"]["deploycheck"]
    assert table["app"] == "notes_api.main:app"
    assert (project / table.get("start", table.get("manager_config"))).exists()
    assert (project / table["previous_steps"]).exists()
    assert (project / table["enable"]).exists()
    names = re.findall(r'"(?:Bearer )?\$(\w+)"', json.dumps(table))
    assert set(names) <= set(re.findall(r"^([A-Z_]+)=", (project / ".env.example").read_text(), re.MULTILINE))


def test_workflow_is_pinned_and_may_only_read(project: Path) -> None:
    """Actions are named by commit, and the token of the workflow can change nothing."""
    workflow = (project / ".github" / "workflows" / "ci.yml").read_text()
    uses = re.findall(r"uses: (\S+)", workflow)
    assert uses
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", use) for use in uses)
    assert "permissions:\n  contents: read\n" in workflow
    assert "persist-credentials: false" in workflow


def test_workflow_has_no_known_weakness(bake: Bake) -> None:
    """zizmor finds nothing."""
    zizmor = Path(sys.executable).parent / "zizmor"
    subprocess.run([zizmor, "--quiet", "--offline", bake() / ".github"], check=True)


def test_git_is_optional(bake: Bake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without git, without a name for commits or on request, the project is made all the same."""
    assert not (bake(project_slug="unwanted") / ".git").exists()
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setenv("EMAIL", "")
    assert (bake(project_slug="nameless", git_init=True) / ".git").exists()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (bake(project_slug="gitless", git_init=True) / ".env").exists()


def test_no_repository_inside_a_repository(bake: Bake, tmp_path: Path) -> None:
    """Where git looks after the folder already, it is left alone."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert not (bake(git_init=True) / ".git").exists()


def test_says_what_comes_next(bake: Bake, capfd: pytest.CaptureFixture[str]) -> None:
    """Three commands lead from the bake to the proof."""
    bake()
    commands = [line for line in capfd.readouterr().out.splitlines() if line.startswith("    ")]
    assert len(commands) == 3
    assert "pip install" in commands[0]
    assert "deploy/start" in commands[1]
    assert "pytest --deploycheck" in commands[2]


def test_questions_have_prompts() -> None:
    """A person is asked in words, for each question."""
    questions = json.loads((REPOSITORY / "cookiecutter.json").read_text())
    prompts = questions.pop("__prompts__")
    assert list(prompts) == [name for name in questions if not name.startswith("_")]
    for question, answer in questions.items():
        if isinstance(answer, list):
            assert set(prompts[question]) == {"__prompt__", *answer}
