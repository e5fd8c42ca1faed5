"""Make the environments of this repository: `dev` is `.venv`, `bake` is `.cache/bake`.

Only the standard library is needed. uv does the work where it is on the PATH or can be installed by pip;
otherwise venv and pip do. An environment is made again only when the requirements in pyproject.toml or the
Python change.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from steps import StepError, clean_environment, exit_code_of, run_quietly, say, step

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"
STAMP = "deploycheck-environment.json"
FOLDERS = {"dev": ROOT / ".venv", "bake": CACHE / "bake"}


def is_writable_cache(folder: Path) -> bool:
    """Tell whether this user can write into a package cache, or make it; look two levels down."""
    if not folder.exists():
        parent = folder
        while not parent.exists():
            parent = parent.parent
        return os.access(parent, os.W_OK | os.X_OK)
    try:
        children = [entry for entry in folder.iterdir() if entry.is_dir()]
        inner = [entry for child in children for entry in child.iterdir() if entry.is_dir()]
    except PermissionError:
        return False
    return all(os.access(entry, os.W_OK | os.X_OK) for entry in [folder, *children, *inner])


def cache_variables() -> dict[str, str]:
    """Move a package cache into the repository where the user's own cannot be used."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser())
    moved = {}
    for variable, name in (("UV_CACHE_DIR", "uv"), ("PIP_CACHE_DIR", "pip")):
        if not is_writable_cache(Path(os.environ.get(variable) or home / name)):
            moved[variable] = str(CACHE / f"{name}-cache")
    return moved


@dataclass(frozen=True, kw_only=True)
class Installer:
    """What makes environments and installs into them: uv, or venv and pip where `uv` is None."""

    uv: Path | None
    environment: dict[str, str]

    @property
    def name(self) -> str:
        """The name for progress lines."""
        return "uv" if self.uv else "pip"

    def create(self, folder: Path) -> None:
        """Make an empty virtual environment; whatever was at that place is gone afterwards."""
        if self.uv:
            command: list[str | Path] = [
                self.uv,
                "venv",
                "--no-config",
                "--python",
                sys.executable,
                "--clear",
                folder,
            ]
        else:
            command = [sys.executable, "-m", "venv", "--clear", *venv_options(), folder]
        run_quietly(command, log=CACHE / "log" / "create.txt", env=self.environment)

    def install(self, folder: Path, arguments: list[str], *, cwd: Path) -> None:
        """Install requirements into an environment."""
        python = folder / "bin" / "python"
        if self.uv:
            # As pip does: else each process that starts first compiles the same modules.
            install = ("pip", "install", "--compile-bytecode")
            command: list[str | Path] = [self.uv, *install, "--python", python, *arguments]
        elif has_module("ensurepip"):
            command = [python, "-m", "pip", "install", *arguments]
        else:
            command = [sys.executable, "-m", "pip", "--python", python, "install", *arguments]
        run_quietly(command, log=CACHE / "log" / "install.txt", cwd=cwd, env=self.environment)


def has_module(name: str) -> bool:
    """Tell whether this Python has a module; Debian packages venv, ensurepip and pip by themselves."""
    return importlib.util.find_spec(name) is not None


def venv_options() -> list[str]:
    """Return how to make an environment without uv; raise where this Python cannot."""
    if has_module("venv") and has_module("ensurepip"):
        return []
    if has_module("venv") and has_module("pip"):
        return ["--without-pip"]  # pip of this Python installs from outside
    raise StepError(
        f"error: {sys.executable} cannot make virtual environments: its module venv or ensurepip is missing."
        " Install it (Debian, Ubuntu: apt install python3-venv), or install uv, or name another Python:"
        " make PYTHON=/path/to/python3.12"
    )


def working_uv(path: str | Path | None) -> Path | None:
    """Return uv where it starts."""
    if not path:
        return None
    try:
        done = subprocess.run([path, "--version"], capture_output=True, check=False)
    except OSError:
        return None
    return Path(path) if done.returncode == 0 else None


def find_installer(wanted: str = "auto") -> Installer:
    """Choose uv from the PATH, else uv installed by pip into `.cache/uv`, else pip."""
    environment = clean_environment() | cache_variables()
    with_pip = Installer(uv=None, environment=environment)
    if wanted == "pip":
        return with_pip
    folder = CACHE / "uv"
    uv = working_uv(shutil.which("uv")) or working_uv(folder / "bin" / "uv")
    if uv is None:
        try:
            with step("no uv on the PATH: installing it into .cache/uv"):
                with_pip.create(folder)
                with_pip.install(folder, ["uv>=0.5"], cwd=ROOT)
        except StepError:
            if wanted == "uv":
                raise
            say("    not available (see .cache/log): going on with venv and pip, which takes longer")
        uv = working_uv(folder / "bin" / "uv")
    return Installer(uv=uv, environment=environment)


def set_up(installer: Installer, folder: Path, arguments: list[str], *, cwd: Path) -> None:
    """Make an environment where there is none that works, and install into it; use pip where uv fails.

    uv does not read pip's configuration, so behind a company's mirror pip alone may find packages.
    """
    python = folder / "bin" / "python"
    try:
        if not is_working(python):
            installer.create(folder)
        installer.install(folder, arguments, cwd=cwd)
    except StepError as error:
        if installer.uv is None:
            raise
        say(f"    uv failed; trying pip. uv said:\n{error}")
        with_pip = Installer(uv=None, environment=installer.environment)
        with_pip.create(folder)
        with_pip.install(folder, arguments, cwd=cwd)


def is_working(python: Path) -> bool:
    """Tell whether an environment's Python starts and is the one that was asked for."""
    code = "import sys; print(sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == str(sys.version_info[:2])


def requirements_of(group: str, groups: dict[str, list[str | dict[str, str]]]) -> list[str]:
    """Return the requirements of a dependency group; pip before 25.1 cannot read groups itself."""
    found: list[str] = []
    for entry in groups[group]:
        found += requirements_of(entry["include-group"], groups) if isinstance(entry, dict) else [entry]
    return list(dict.fromkeys(found))


def ensure(name: str, wanted: str = "auto") -> Path:
    """Return the Python of an environment of this repository, after making or renewing it where needed."""
    folder = FOLDERS[name]
    python, stamp = folder / "bin" / "python", folder / STAMP
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    tables = [project[table] for table in ("build-system", "project", "dependency-groups")]
    state = hashlib.sha256(json.dumps([tables, sys.version, str(folder)]).encode()).hexdigest()
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # `make -j` may ask for one environment twice
        if stamp.exists() and stamp.read_text(encoding="utf-8") == state and is_working(python):
            return python
        arguments = requirements_of(name, project["dependency-groups"])
        if name == "dev":
            arguments += ["--editable", str(ROOT)]
        installer = find_installer(wanted)
        with step(
            f"{folder.relative_to(ROOT)}: installing the requirements of pyproject.toml with {installer.name}"
        ):
            stamp.unlink(missing_ok=True)
            set_up(installer, folder, arguments, cwd=ROOT)
            stamp.write_text(state, encoding="utf-8")
    return python


def main() -> None:
    """Make the environments named on the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("name", choices=FOLDERS)
    parser.add_argument("--installer", choices=("auto", "uv", "pip"), default="auto")
    options = parser.parse_args()
    ensure(options.name, options.installer)


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
