"""Each lab for real: red before, red with each false fix, green after."""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import SECOND_TRY, Verdict, copy_of, run_deploycheck
from test_sabotage import quick

from pytest_deploycheck.check import Concept
from pytest_deploycheck.labs.lab import Lab, all_labs

# These run by default; with --labs-all, which runs each night, all of them do.
FAST = ("enabled-and-wanted-by-nobody", "my-shell-had-it", "the-health-check-that-cannot-fail")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a few labs, or all."""
    if "lab" in metafunc.fixturenames:
        chosen = [lab for lab in all_labs() if metafunc.config.option.labs_all or lab.name in FAST]
        metafunc.parametrize("lab", chosen, ids=lambda lab: lab.name)


@pytest.fixture
def patched(baked: Callable[..., Path], tmp_path: Path, lab: Lab) -> Callable[..., Verdict]:
    """Return a function that runs checks on the project with some of the lab's patches."""

    def run(*names: str, ids: set[str]) -> Verdict:
        answers = {question: wanted[0] for question, wanted in lab.needs.items()}
        folder = tempfile.mkdtemp(dir=tmp_path)
        project = copy_of(baked(**answers), Path(folder, "notes_api"))
        for name in names:
            patch = lab.patch(name, "notes_api")
            command = ["git", "apply", "--recount", "--unidiff-zero", "-"]
            subprocess.run(command, cwd=project, input=patch, text=True, check=True)
        return run_deploycheck(project, f"--deploycheck-select={','.join(sorted(ids))}")

    return run


def neighbours(lab: Lab) -> set[str]:
    """Return the lab's checks, and the quick ones of the concepts that it touches."""
    concepts = {Concept.of(check_id).slug for check_id in lab.checks}
    return set(lab.checks).union(*(quick(concept) for concept in concepts))


def reds(verdict: Verdict) -> set[str]:
    """Return the IDs of the checks that failed or warned."""
    return set(verdict.ids("failed") | verdict.ids("warned"))


@pytest.mark.slow
@pytest.mark.labs
def test_a_lab_is_red_stays_red_and_gets_green(
    lab: Lab,
    patched: Callable[..., Verdict],
    pytestconfig: pytest.Config,
    record_property: Callable[[str, object], None],
) -> None:
    """Exactly the expected checks are red; a false fix leaves one of the lab's red; the fix leaves none.

    The machine may be busy, so each run gets a second try, which is told as those of the sabotages are.
    """

    def require(is_right: Callable[[Verdict], bool], *names: str, ids: set[str]) -> None:
        verdict = patched(*names, ids=ids)
        if not is_right(verdict):
            record_property(SECOND_TRY, verdict.explain())
            verdict = patched(*names, ids=ids)
        assert is_right(verdict), f"{names}: {sorted(reds(verdict))}\n{verdict.explain()}"

    everything = pytestconfig.option.labs_all
    ids = neighbours(lab) if everything else set(lab.checks)
    require(lambda verdict: reds(verdict) == set(lab.red), "break", ids=ids)
    for name in list(lab.false_fixes)[: None if everything else 1]:
        require(
            lambda verdict: bool(reds(verdict) & set(lab.checks)),
            "break",
            f"false_fix_{name}",
            ids=set(lab.checks),
        )
    require(lambda verdict: verdict.ids("passed") == ids, "break", "fix", ids=ids)
