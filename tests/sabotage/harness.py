"""Breaking a generated project, and asking the plugin what it says of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pytest_deploycheck.testing import Change, Verdict, pytest_in, run_deploycheck

__all__ = ["Change", "Verdict", "pytest_in", "run_deploycheck"]

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = (
    *("alembic", "caddy", "deploycheck", "dotenv", "gunicorn", "pytest"),
    *("supervisorctl", "supervisord", "traefik", "uvicorn"),
)
# What programs must be there for an answer to https_proxy or process_manager; CI has all of them.
PROGRAMS_OF = {
    "nginx": ("nginx", "certbot"),
    "haproxy": ("haproxy", "certbot"),
    "systemd": ("systemd-nspawn",),
    "kubernetes": ("kubectl", "unshare"),
    "cloud": ("unshare",),
}
PACKAGE_OF = {"systemd-nspawn": "systemd-container", "unshare": "util-linux"}
# The end of what Gunicorn's settings do in each new worker.
FORKED = "    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
# Bodies that are on their way take the places of other requests.
NO_PLACES_FOR_BODIES = Change(
    file="src/notes_api/overload.py", old="on_its_way = has_body(scope)", new="on_its_way = False"
)
SECOND_TRY = "second try, after the first one said"
# The fixture verdict_of: it runs checks, and once more if the verdict is not right.
VerdictOf = Callable[[Callable[[], Verdict], Callable[[Verdict], bool]], Verdict]


@dataclass(frozen=True, kw_only=True)
class Sabotage:
    """A broken deployment, and the IDs of exactly those checks that must fail (or warn) on it; none if it is right.

    Attributes:
        id: a short name in words.
        changes: what breaks it.
        caught_by: all checks that fail.
        server: the template's answer to ``app_server``.
        answers: other answers to the template's questions.
        cpus: how many CPUs the run may use; None for all of this machine.
        moves: files or folders that are somewhere else, old and new path, before the changes.
        touches: concepts or IDs, whose checks run; by default the concept of the record's module.
    """

    id: str
    changes: tuple[Change, ...]
    caught_by: frozenset[str]
    server: str = "gunicorn"
    answers: tuple[tuple[str, str], ...] = field(default=())
    cpus: int | None = None
    moves: tuple[tuple[str, str], ...] = ()
    touches: tuple[str, ...] = ()

    def apply(self, project: Path) -> None:
        """Break the project."""
        for old, new in self.moves:
            (project / old).rename(project / new)
        for change in self.changes:
            change.apply(project)


def sabotage(
    name: str,
    file: str,
    old: str | None,
    new: str,
    *caught_by: str,
    server: str = "gunicorn",
    more: tuple[Change, ...] = (),
    cpus: int | None = None,
    touches: tuple[str, ...] = (),
    answers: tuple[tuple[str, str], ...] = (),
) -> Sabotage:
    """Make a record with one change, or with ``more``."""
    first = Change(file=file, old=old, new=new)
    return Sabotage(
        id=name,
        changes=(first, *more),
        caught_by=frozenset(caught_by),
        server=server,
        cpus=cpus,
        touches=touches,
        answers=answers,
    )


def behind(proxy: str) -> Callable[..., Sabotage]:
    """Return what makes records of projects with a proxy; ``prefix`` is their answer to ``path_prefix``."""

    def record(
        name: str,
        file: str,
        old: str | None,
        new: str,
        *caught_by: str,
        prefix: str = "",
        touches: tuple[str, ...] = ("https",),
        **more: Any,
    ) -> Sabotage:
        answers = (("https_proxy", proxy), ("path_prefix", prefix))
        return sabotage(
            f"{proxy}: {name}", file, old, new, *caught_by, answers=answers, touches=touches, **more
        )

    return record


def bake(folder: Path, *, template: str = str(REPOSITORY), **answers: str) -> Path:
    """Generate a project with default answers but ``answers``; return its folder, ready to run."""
    from cookiecutter.main import cookiecutter

    project = Path(
        cookiecutter(
            template,
            no_input=True,
            output_dir=str(folder),
            extra_context={"git_init": "no", "plugin_requirement": "pytest-deploycheck", **answers},
        )
    )
    make_environment(project)
    return project


def make_environment(project: Path) -> None:
    """Make a virtual environment that uses the packages of this one, and an editable install of the project.

    It takes milliseconds, where an installer would take seconds for each of the many projects of a test run.
    """
    environment = project / ".venv"
    shutil.rmtree(environment, ignore_errors=True)
    site_packages = environment / f"lib/python{sys.version_info.major}.{sys.version_info.minor}/site-packages"
    site_packages.mkdir(parents=True)
    (environment / "bin").mkdir()
    python = environment / "bin/python"
    python.symlink_to(Path(sys.executable).resolve())
    home = Path(sys.executable).resolve().parent
    (environment / "pyvenv.cfg").write_text(
        f"home = {home}\ninclude-system-site-packages = false\n", encoding="utf-8"
    )
    packages = sysconfig.get_path("purelib")
    (site_packages / "environment.pth").write_text(
        f"import site; site.addsitedir({packages!r})\n{project / 'src'}\n", encoding="utf-8"
    )
    for name in SCRIPTS:
        _copy_script(Path(sysconfig.get_path("scripts")) / name, environment / "bin" / name, python)


def _copy_script(script: Path, target: Path, python: Path) -> None:
    with script.open("rb") as file:  # some are programs of 100 MB
        first = file.readline(200)
        is_script = b"python" in first and first.startswith(b"#!")
        rest = file.read() if is_script else b""
    if is_script:
        head = f"#!{python}\n"
        if " " in head:  # as pip does: the kernel splits the line at spaces
            head = f"#!/bin/sh\n'''exec' '{python}' \"$0\" \"$@\"\n' '''\n"
        target.write_bytes(head.encode() + rest)
        target.chmod(0o755)
    else:
        target.symlink_to(script)


def run_tool(project: Path, *command: str) -> None:
    """Run a tool of this environment in the project, as its developer would."""
    environment = os.environ | {"PYTHONPATH": str(project / "src")}
    for name in list(environment):
        if name.startswith(("PYTEST_", "COV_")):
            del environment[name]
    done = subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def copy_of(project: Path, target: Path) -> Path:
    """Copy a generated project, with an environment of its own."""
    shutil.copytree(project, target, ignore=shutil.ignore_patterns(".venv", "var", "__pycache__"))
    make_environment(target)
    return target
