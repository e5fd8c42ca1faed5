"""What one environment cannot show: other Pythons, other versions of pytest, and the oldest dependencies.

A Python that is neither here nor to be had is skipped, and nox says so. Words after ``--`` are other arguments for
pytest: ``nox -s "tests-3.12(pytest='8')" -- tests/probes``.
"""

import shutil
from pathlib import Path

import nox

PROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)
TEST = nox.project.dependency_groups(PROJECT, "test")
# The plugin's tests without production stacks, and then one whole run of all checks.
QUICK = ("-m", "not slow", "tests/plugin", "tests/probes")
WHOLE_RUN = "tests/sabotage/test_sabotage.py::test_unbroken_project_passes_everything[gunicorn-sqlite]"

nox.needs_version = ">=2025.2"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.error_on_missing_interpreters = False
nox.options.stop_on_first_error = False


@nox.session(python=PYTHONS)
@nox.parametrize("pytest", ["8", "9"])
def tests(session: nox.Session, pytest: str) -> None:
    """The newest dependencies, with each major version of pytest that the plugin supports."""
    session.install("--editable", ".", *TEST, f"pytest=={pytest}.*")
    _test(session)


@nox.session(python=PYTHONS[0], venv_backend="uv")
def oldest(session: nox.Session) -> None:
    """The oldest dependencies that ``pyproject.toml`` allows, of the plugin and of the generated project."""
    session.install("--resolution", "lowest-direct", "--editable", ".", *TEST)
    _test(session)


@nox.session(default=False)
def distributions(session: nox.Session) -> None:
    """Build what a release publishes: wheel and source distribution in ``dist``, and ``build/sbom.cdx.json``.

    The SBOM lists what is installed with the wheel today.
    """
    dist, sbom = Path("dist"), Path("build/sbom.cdx.json")
    shutil.rmtree(dist, ignore_errors=True)
    session.install(*nox.project.dependency_groups(PROJECT, "release"))
    session.run("hatchling", "build", "-d", str(dist))
    clean = Path(session.create_tmp()) / "clean"
    session.run("python", "-m", "venv", "--clear", str(clean))
    python = str(clean / "bin" / "python")
    session.run(python, "-m", "pip", "install", "--quiet", *map(str, dist.glob("*.whl")), external=True)
    session.run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "pip", "setuptools", external=True)
    sbom.parent.mkdir(exist_ok=True)
    options = ("--pyproject", "pyproject.toml", "--mc-type", "library", "--output-reproducible")
    session.run("cyclonedx-py", "environment", *options, "--output-file", str(sbom), python)


@nox.session(default=False)
def vulnerabilities(session: nox.Session) -> None:
    """Ask whether the plugin or the generated project needs anything with a known vulnerability; needs PyPI itself."""
    file = Path(session.create_tmp()) / "requirements.txt"
    extras = [line for lines in PROJECT["project"]["optional-dependencies"].values() for line in lines]
    needed = [
        *PROJECT["project"]["dependencies"],
        *extras,
        *nox.project.dependency_groups(PROJECT, "project"),
    ]
    file.write_text("\n".join(needed), encoding="utf-8")
    session.install(*nox.project.dependency_groups(PROJECT, "audit"))
    session.run("pip-audit", "--strict", "--requirement", str(file))


def _test(session: nox.Session) -> None:
    runs = [session.posargs] if session.posargs else [QUICK, [WHOLE_RUN]]
    for arguments in runs:
        session.run("pytest", "-n", "2", "--dist", "worksteal", *arguments)
