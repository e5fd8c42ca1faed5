"""Finish a project: its secrets, the way to the plugin, what was not chosen, the first commit."""

import json
import os
import re
import secrets
import shutil
import subprocess
from pathlib import Path

PLUGIN = "pytest-deploycheck"
# The files that only some answers to a question need, as patterns.
FILES_OF = {
    ("process_manager", "supervisor"): [
        "deploy/start",
        "deploy/supervisord.conf",
        "deploy/unit.service",
    ],
    ("process_manager", "systemd"): ["deploy/run", "deploy/systemd"],
    ("process_manager", "kubernetes"): ["deploy/kubernetes"],
    ("process_manager", "cloud"): [
        "deploy/cloud",
        "fly.toml",
        "render.yaml",
        "src/*/edge.py",
        "tests/test_edge.py",
    ],
    ("process_manager", "kubernetes", "cloud"): ["src/*/bodies.py", "tests/test_bodies.py"],
    ("process_manager", "supervisor", "systemd"): ["deploy/enable"],
    ("process_manager", "supervisor", "systemd", "compose", "swarm"): [
        "deploy/Caddyfile",
        "deploy/reload",
        "deploy/reload-proxy",
    ],
    ("process_manager", "compose"): ["compose.yaml"],
    ("process_manager", "swarm"): ["deploy/swarm.yaml", "deploy/containers"],
    ("process_manager", "compose", "swarm"): ["deploy/database-role"],
    ("database", "postgresql"): ["deploy/database-role"],
    ("process_manager", "compose", "swarm", "kubernetes", "cloud"): [
        ".dockerignore",
        "Dockerfile",
        "deploy/serve",
        # Elsewhere the manager watches over each worker of Uvicorn itself.
        "deploy/server.py",
    ],
    ("app_server", "gunicorn"): ["deploy/gunicorn.conf.py", "deploy/systemd/*-app.service"],
    ("app_server", "uvicorn"): [
        "deploy/systemd/*.socket",
        "deploy/systemd/*.slice",
        "deploy/systemd/*-app@.service",
        "deploy/server.py",
    ],
    ("https_proxy", "caddy"): ["deploy/Caddyfile"],
    ("https_proxy", "traefik"): ["deploy/traefik.yml", "deploy/traefik-routes.yml"],
    ("https_proxy", "nginx"): ["deploy/nginx.conf", "deploy/write-nginx-conf"],
    ("https_proxy", "haproxy"): ["deploy/haproxy.cfg"],
    ("https_proxy", "nginx", "traefik", "haproxy"): ["deploy/prepare-proxy"],
    ("https_proxy", "nginx", "haproxy"): [
        "deploy/certificates",
        "deploy/systemd/*-certificates.*",
    ],
}


def write_env() -> None:
    """Write `.env`, readable for its owner only, with secrets that nobody else has; keep one that is there."""
    if Path(".env").exists():
        return
    values = Path(".env.example").read_text(encoding="utf-8")
    values = values.replace("API_TOKEN=change-me", f"API_TOKEN={secrets.token_urlsafe(32)}")
    values = values.replace(":change-me@", f":{secrets.token_hex(16)}@")  # of the database's user
    write_new(Path(".env"), values, mode=0o600)


def write_secrets(answers: dict) -> None:
    """Write the secrets that containers get, each as a file; keep those that are there.

    The folder keeps everybody else of this machine away. The users of the containers, whom the machine does not know,
    see only the files.
    """
    if answers["process_manager"] not in ("compose", "swarm"):
        return
    values = {"api_token": secrets.token_urlsafe(32)}
    if answers["database"] == "postgresql":
        values["database_password"] = secrets.token_hex(24)
    folder = Path(".secrets")
    folder.mkdir(mode=0o700, exist_ok=True)
    for name in [name for name in values if not (folder / name).exists()]:
        write_new(folder / name, values[name], mode=0o444)


def write_new(path: Path, text: str, *, mode: int) -> None:
    """Write a file that is not there yet, and that nobody else can open before it has its mode."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(file, text.encode())
    os.fchmod(file, mode)
    os.close(file)


def remove(path: Path) -> None:
    """Remove a file, or a folder and all that is in it."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def remove_unchosen(answers: dict) -> None:
    """Remove the files of options that were not chosen."""
    for (question, *choices), files in FILES_OF.items():
        if answers[question] not in choices:
            for path in [path for file in files for path in Path().glob(file)]:
                remove(path)
    # systemd itself, or the engine, lets them read their files anew.
    if answers["process_manager"] in ("systemd", "compose", "swarm") and answers["https_proxy"] in (
        "caddy",
        "traefik",
    ):
        remove(Path("deploy/reload-proxy"))


def resolve_plugin(answers: dict) -> None:
    """Write how to install the plugin: from where this template came, as long as nothing else was asked for."""
    if answers["plugin_requirement"] == "auto":
        file = Path("pyproject.toml")
        text = file.read_text(encoding="utf-8")
        requirement = plugin_requirement(answers)
        file.write_text(text.replace('    "auto",\n', f'    "{requirement}",\n'), encoding="utf-8")


def plugin_requirement(answers: dict) -> str:
    """Name the very files that this template came with: a commit of a repository, or a folder."""
    if url := repository(answers["_template"]):
        commit = answers.get("_commit") or head(Path(answers["_repo_dir"]))  # cruft tells the former
        return f"{PLUGIN} @ git+{url}" + (f"@{commit}" if commit else "")
    # A folder may be written relative to where Cookiecutter was started.
    for start in (os.environ.get("PWD", ""), answers.get("_output_dir", "")):
        folder = Path(start, answers["_template"]).expanduser().resolve()
        if (folder / "cookiecutter.json").is_file():
            return f"{PLUGIN} @ {folder.as_uri()}"
    return PLUGIN


def repository(template: str) -> str:
    """Give a template's https address, without the user name and password that it may hold."""
    hosts = {"gh": "github.com", "gl": "gitlab.com", "bb": "bitbucket.org"}
    abbreviation, _, rest = template.partition(":")
    if abbreviation in hosts:
        return f"https://{hosts[abbreviation]}/{rest}"
    if ssh := re.fullmatch(r"(?:git\+)?(?:ssh://)?[\w.-]+@([\w.-]+)[:/](?!\d+/)(.+)", template):
        return f"https://{ssh[1]}/{ssh[2]}"
    url = re.sub(r"://[^/]*@", "://", template.removeprefix("git+"))
    url = re.sub(r"[?#].*", "", url)
    return url if url.startswith(("https://", "http://", "file://")) and not url.endswith(".zip") else ""


def head(clone: Path) -> str:
    """Read the commit that is checked out, without starting git."""
    git = clone / ".git"
    try:
        text = (git / "HEAD").read_text(encoding="ascii").strip()
        if not text.startswith("ref: "):
            return text
        ref = text.removeprefix("ref: ")
        if (git / ref).is_file():
            return (git / ref).read_text(encoding="ascii").strip()
        packed = (git / "packed-refs").read_text(encoding="ascii")
        return next((line.split()[0] for line in packed.splitlines() if line.endswith(f" {ref}")), "")
    except OSError:
        return ""


def commit() -> None:
    """Make a repository with a first commit, if there is git and no repository around; that it fails is no harm."""
    here = Path.cwd()
    if any((folder / ".git").exists() for folder in here.parents):
        return
    for command in ("init -q -b main", "add -A", "commit -q -m Begin"):
        try:
            subprocess.run(["git", *command.split()], check=True, capture_output=True, timeout=20)
        except (OSError, subprocess.SubprocessError):
            return


def main() -> None:
    """Do all of it, and say what comes next."""
    answers = json.loads({{cookiecutter | tojson | tojson}})  # noqa: F821
    write_env()
    write_secrets(answers)
    remove_unchosen(answers)
    resolve_plugin(answers)
    for file in Path("deploy").iterdir():
        if file.is_file() and file.read_bytes().startswith(b"#!"):
            file.chmod(0o755)
    if answers["git_init"]:
        commit()
    start = {
        "supervisor": "DOMAIN=localhost HTTP_PORT=8080 HTTPS_PORT=8443 deploy/start",
        "systemd": "sudo deploy/enable && sudo reboot  # on the server; README.md tells how to try it here",
        "compose": "docker compose up --build --detach",
        "swarm": "docker swarm init --advertise-addr 127.0.0.1 && deploy/reload",
        "cloud": "fly deploy  # README.md has the other platforms, and what comes before",
        "kubernetes": "kubectl apply -k deploy/kubernetes/overlays/production  # README.md tells what comes before",
    }
    # Processes in containers can be seen only by root.
    as_root = "sudo " if answers["process_manager"] in ("compose", "swarm") else ""
    print(f"""
Your project is in {Path.cwd()}. Next:

    cd {Path.cwd().name} && python3 -m venv .venv && .venv/bin/pip install -e '.[dev]'
    {start[answers["process_manager"]]}
    {as_root}.venv/bin/pytest --deploycheck
""")


main()
