"""What one environment cannot show: other Pythons, other versions of pytest, and the oldest dependencies.

A Python that is neither here nor to be had is skipped, and nox says so. Words after ``--`` are other arguments for
pytest: ``nox -s "tests-3.12(pytest='8')" -- tests/probes``.
"""

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


def _test(session: nox.Session) -> None:
    runs = [session.posargs] if session.posargs else [QUICK, [WHOLE_RUN]]
    for arguments in runs:
        session.run("pytest", "-n", "2", "--dist", "worksteal", *arguments)
