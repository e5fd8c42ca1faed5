"""The commands that the documents name exist, and CI runs the same ones."""

import os
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CI_TARGETS = ["lint", "audit", "docs", "demo", "test"]


def lines_of(name: str) -> list[str]:
    """Return the lines of a file of the repository."""
    return (ROOT / name).read_text(encoding="utf-8").splitlines()


def targets() -> set[str]:
    """Return the Makefile's targets."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z]+):", makefile, flags=re.MULTILINE))


def test_ci_ends_with_the_test_command_of_the_readme() -> None:
    """`.ci/run` runs the very test command that the README names, and runs it last."""
    named = [line.removeprefix("$ ") for line in lines_of("README.md") if re.match(r"\$ make test\b", line)]
    assert named == ["make test"]
    commands = [line.replace("make --no-print-directory", "make") for line in lines_of(".ci/run")]
    assert commands[-1] == named[0]
    assert "make lint" in commands
    assert "make docs" in commands


def test_ci_run_is_a_strict_bash_script() -> None:
    """It is executable and stops at the first failing command."""
    assert os.access(ROOT / ".ci" / "run", os.X_OK)
    assert "set -euo pipefail" in lines_of(".ci/run")
    subprocess.run(["bash", "-n", ROOT / ".ci" / "run"], check=True)


def programs_that_only_note_their_call(folder: Path, log: Path, names: list[str]) -> None:
    """Put stand-ins into a folder for the PATH."""
    folder.mkdir()
    for name in names:
        program = folder / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> "{log}"\n', encoding="utf-8")
        program.chmod(0o755)


@pytest.mark.parametrize("python_is_complete", [True, False])
def test_ci_installs_what_is_missing_and_nothing_else(tmp_path: Path, *, python_is_complete: bool) -> None:
    """Debian's packages are installed where Python cannot make environments, and not touched otherwise."""
    log, folder = tmp_path / "log", tmp_path / "bin"
    wanted = ["certbot", "chromium", "docker-compose", "dockerd", "haproxy", "nginx", "openssl", "pebble"]
    wanted += ["pg_lsclusters", "pgbouncer", "systemd-nspawn"]
    programs_that_only_note_their_call(folder, log, ["apt-get", "git", "make", *wanted])
    (folder / "python3").write_text(f"#!/bin/sh\nexit {0 if python_is_complete else 1}\n", encoding="utf-8")
    (folder / "python3").chmod(0o755)
    (folder / "sudo").write_text('#!/bin/sh\nexec "$@"\n', encoding="utf-8")
    (folder / "sudo").chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:/usr/bin:/bin"}
    subprocess.run([ROOT / ".ci" / "run"], env=environment, cwd=tmp_path, check=True)
    calls = log.read_text(encoding="utf-8").splitlines()
    installed = [call for call in calls if call.startswith("apt-get install")]
    assert bool(installed) is not python_is_complete
    assert all("python3-venv" in call.split() for call in installed)
    assert [call.split()[-1] for call in calls if call.startswith("make")] == CI_TARGETS


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_make_commands_in_documents_exist(document: str) -> None:
    """Every `make …` that a document names is a target."""
    named = set(re.findall(r"(?:\$ |`)make ([a-z]+)", "\n".join(lines_of(document))))
    assert named
    assert named <= targets()


def test_make_alone_lists_every_target() -> None:
    """`make` without a target changes nothing and lists all of them."""
    environment = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}
    }
    done = subprocess.run(["make"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert set(re.findall(r"^  make ([a-z]+)", done.stdout, flags=re.MULTILINE)) == targets() | {"help"}


def test_make_says_in_one_line_that_there_is_no_python() -> None:
    """A Python that is not there is named, with the way out."""
    done = subprocess.run(
        ["make", "environment", "PYTHON=no-such-python"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.splitlines()[0].startswith("error: no-such-python is not on the PATH")


def test_actions_are_pinned_by_commit() -> None:
    """A tag can be moved to other code; a commit cannot."""
    workflows = [path.read_text(encoding="utf-8") for path in (ROOT / ".github/workflows").iterdir()]
    used = re.findall(r"uses: (\S+)", "\n".join(workflows))
    assert used
    assert all(re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action) for action in used)


def test_the_folders_that_contributing_names_are_there() -> None:
    """The table "Where things are" is true; a bare `name/` is in the folder of the row's first path."""
    section = "\n".join(lines_of("CONTRIBUTING.md")).split("## Where things are")[1].split("\n## ")[0]
    missing = []
    for row in re.findall(r"^\| (`[^|]+) \|", section, flags=re.MULTILINE):
        paths = re.findall(r"`([^`]+)`", row)
        beside = (ROOT / paths[0]).parent
        missing += [path for path in paths if not (ROOT / path).exists() and not (beside / path).exists()]
    assert missing == []
