"""What is published, and what it costs those who do not use it."""

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from environment import find_installer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel and the source distribution, built without a network."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_has_the_plugin_and_nothing_else(built: Path) -> None:
    """Neither the template nor the tests are installed, and every module of the plugin is."""
    names = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert tops == {"pytest_deploycheck", "pytest_deploycheck-0.1.0.dist-info"}
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "pytest_deploycheck").rglob("*.py")}
    assert modules <= set(names)
    assert "pytest_deploycheck/py.typed" in names
    assert {
        f"pytest_deploycheck/report/{name}" for name in ("page.css", "page.js", "report.schema.json")
    } <= set(names)
    labs = {str(path.relative_to(ROOT)) for path in (ROOT / "pytest_deploycheck/labs").glob("*/*.*")}
    assert {name for name in labs if name.endswith((".toml", ".patch"))} <= set(names)


def test_the_wheel_registers_the_plugin_and_the_command(built: Path) -> None:
    """pytest finds the plugin by its entry point; installers make the command."""
    wheel = zipfile.ZipFile(next(built.glob("*.whl")))
    entry_points = wheel.read("pytest_deploycheck-0.1.0.dist-info/entry_points.txt").decode()
    assert entry_points.strip() == (
        "[console_scripts]\ndeploycheck = pytest_deploycheck.commands:main\n\n"
        "[pytest11]\ndeploycheck = pytest_deploycheck.plugin"
    )


def test_the_wheel_names_its_requirements_and_licence(built: Path) -> None:
    """Each requirement has a range, so that a major release breaks nobody; the licence is inside."""
    wheel = zipfile.ZipFile(next(built.glob("*.whl")))
    metadata = Parser().parsestr(wheel.read("pytest_deploycheck-0.1.0.dist-info/METADATA").decode())
    requirements = metadata.get_all("Requires-Dist") or []
    assert requirements
    assert all(">=" in requirement and "<" in requirement for requirement in requirements)
    assert metadata["License-Expression"] == "MIT"
    assert "pytest_deploycheck-0.1.0.dist-info/licenses/LICENSE" in wheel.namelist()


def test_the_source_distribution_builds_everywhere(built: Path) -> None:
    """It has what the wheel is built from, and no path with braces."""
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert {"LICENSE", "README.md", "pyproject.toml", "pytest_deploycheck/plugin.py"} <= set(names)
    assert [name for name in names if "{" in name] == []


PROJECT = {
    "pyproject.toml": '[project]\nname = "x"\nversion = "1"\n[tool.deploycheck]\ndomain = "example.com"\n',
    "supervisord.conf": "[supervisord]\n",
    "test_own.py": "def test_own():\n    pass\n",
}


@pytest.mark.parametrize(
    ("distribution", "resolution"), [("*.whl", "highest"), ("*.tar.gz", "lowest-direct")]
)
def test_it_installs_into_a_clean_environment(
    built: Path, tmp_path: Path, distribution: str, resolution: str
) -> None:
    """The wheel with the newest dependencies, and the source distribution with the oldest, bring all that a run needs.

    All modules of the checks are imported, and no warning is given.
    """
    installer = find_installer()
    if installer.uv is None:
        pytest.skip("uv is needed, to choose the oldest dependencies")
    environment, project = tmp_path / "environment", tmp_path / "project"
    installer.create(environment)
    archive = next(built.glob(distribution))
    installer.install(environment, ["--resolution", resolution, str(archive)], cwd=tmp_path)
    project.mkdir()
    for name, text in PROJECT.items():
        (project / name).write_text(text, encoding="utf-8")
    command = [
        environment / "bin/python",
        "-W",
        "error",
        "-m",
        "pytest",
        "--deploycheck",
        "--collect-only",
        "-q",
    ]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "deploycheck::resources::check_" in done.stdout
    assert "test_own.py::test_own" in done.stdout
    assert "warning" not in done.stdout


def test_a_users_checks_are_type_checked(tmp_path: Path) -> None:
    """mypy reads the plugin's annotations where it is installed: ``py.typed`` is in effect."""
    (tmp_path / "own.py").write_text(
        "from pytest_deploycheck.outcome import Note\n\n"
        "def look(note: Note) -> list[int]:\n    return note.steps\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", "own.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert 'got "list[str]", expected "list[int]"' in done.stdout, done.stdout


def test_the_plugin_costs_nothing_without_the_flag() -> None:
    """Importing the plugin's module imports none of its libraries and none of its own further modules."""
    code = (
        "import pytest, sys; before = set(sys.modules); import pytest_deploycheck.plugin;"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == ["pytest_deploycheck", "pytest_deploycheck.plugin"]


def test_a_run_without_the_flag_imports_nothing_more(tmp_path: Path) -> None:
    """A whole `pytest` run without --deploycheck leaves the plugin's libraries alone."""
    (tmp_path / "test_it.py").write_text(
        "import sys\n\ndef test_it():\n"
        "    heavy = {'httpx2', 'psutil', 'trustme', 'prometheus_client', 'pathspec', 'dotenv'}\n"
        "    ours = {name for name in sys.modules if name.startswith('pytest_deploycheck')}\n"
        "    assert not heavy & set(sys.modules)\n"
        "    assert ours == {'pytest_deploycheck', 'pytest_deploycheck.hookspecs', 'pytest_deploycheck.plugin'}\n",
        encoding="utf-8",
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:xdist",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout


def test_the_development_environment_can_run_the_generated_project() -> None:
    """The group `project` has the template's requirements, for both app servers, in the template's ranges."""
    template = (ROOT / "{{cookiecutter.project_slug}}" / "pyproject.toml").read_text(encoding="utf-8")
    dependencies = template.split("dependencies = [")[1].split("\n]")[0]
    # Within a line: extras for some answer.
    without_extras = re.sub(r"{% if .+ %}.*{% endif %}", "", dependencies)
    needed = re.findall(r'^    "([^"]+)",$', without_extras, flags=re.MULTILINE)
    assert needed
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["dependency-groups"]
    assert sorted(groups["project"]) == sorted(needed)
