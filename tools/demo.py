"""Generate a project from the template with its defaults, install it and run `pytest --deploycheck` in it.

The exit code is that of the check. The folder is made anew each time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path

from environment import CACHE, ROOT, ensure, find_installer, set_up
from steps import StepError, clean_environment, exit_code_of, run, run_quietly, say, step

MARKER = ".made-by-make-demo"


def prepare(folder: Path) -> None:
    """Empty the folder where an earlier demo made it; refuse to touch any other."""
    if folder.exists():
        if not (folder / MARKER).exists() and any(folder.iterdir()):
            raise StepError(
                f"error: {folder} exists and was not made by `make demo`; move it away, or name"
                " another folder: make demo DEMO=FOLDER"
            )
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARKER).touch()


def bake(python: Path, folder: Path) -> Path:
    """Generate the project with the template's defaults; the user's cookiecutter settings stay out of it."""
    settings = CACHE / "cookiecutter.json"  # JSON is YAML too
    folders = {"cookiecutters_dir": str(CACHE / "cookiecutters"), "replay_dir": str(CACHE / "replay")}
    settings.write_text(json.dumps(folders), encoding="utf-8")
    options: list[str | Path] = ["--no-input", "--config-file", settings, "--output-dir", folder]
    with tempfile.TemporaryDirectory() as scratch:  # cookiecutter leaves a copy of each hook in TMPDIR
        environment = clean_environment() | {"TMPDIR": scratch}
        command = [python, "-m", "cookiecutter", *options, ROOT]
        run_quietly(command, log=CACHE / "log" / "bake.txt", env=environment)
    projects = [entry for entry in folder.iterdir() if (entry / "pyproject.toml").exists()]
    if len(projects) != 1:
        raise StepError(f"error: the template should make one project in {folder}; found {len(projects)}")
    return projects[0]


def main() -> int:
    """Do the steps and return the exit code of the check."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "demo")
    parser.add_argument("--installer", choices=("auto", "uv", "pip"), default="auto")
    options = parser.parse_args()
    folder: Path = options.folder.resolve()
    start = time.monotonic()

    python = ensure("bake", options.installer)
    installer = find_installer(options.installer)
    prepare(folder)
    with step(f"generating a project in {folder}"):
        project = bake(python, folder)
    with step(f"installing {project.name} and its tools into its .venv with {installer.name}"):
        set_up(installer, project / ".venv", ["--editable", ".[dev]"], cwd=project)
    arguments = ["--deploycheck", "--deploycheck-report", "report"]
    python = project / ".venv" / "bin" / "python"
    with step("pytest --deploycheck --deploycheck-report report"):
        code = run([python, "-m", "pytest", *arguments], cwd=project, env=clean_environment())
    say("")
    say(f"project  {project}")
    page = project / "report" / "report.html"
    say(f"report   {page}" if page.exists() else "report   none was written")
    result = "passed" if code == 0 else f"not passed (exit code {code})"
    say(f"result   {result}, {time.monotonic() - start:.0f} s in all")
    return code


if __name__ == "__main__":
    sys.exit(exit_code_of(main))
