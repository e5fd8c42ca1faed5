"""Each lab for real: red before, red with each false fix, green after."""

import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import Verdict, VerdictOf, copy_of, run_deploycheck
from test_sabotage import quick, require_programs

from pytest_deploycheck.check import Concept
from pytest_deploycheck.labs.lab import Lab, all_labs
from pytest_deploycheck.labs.project import find

# These run by default; with --labs-all, which runs each night, all of them do.
FAST = ("enabled-and-wanted-by-nobody", "my-shell-had-it", "the-health-check-that-cannot-fail")
# With --labs-all these, which fit any process manager, run on systemd too.
ALSO_ON_SYSTEMD = ("the-health-check-that-cannot-fail", "the-note-that-comes-and-goes")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a few labs, or all, with each answer for which a lab has patches of its own."""
    if "lab" in metafunc.fixturenames:
        chosen = [
            (lab, variant)
            for lab in all_labs()
            for number, variant in enumerate(lab.variants or ("",))
            if metafunc.config.option.labs_all or (lab.name in FAST and number == 0)
        ]
        if metafunc.config.option.labs_all:
            chosen += [(lab, "systemd") for lab in all_labs() if lab.name in ALSO_ON_SYSTEMD]
        names = [f"{lab.name}-{variant}".rstrip("-") for lab, variant in chosen]
        metafunc.parametrize(("lab", "variant"), chosen, ids=names)


def answers_for(lab: Lab, variant: str) -> dict[str, str]:
    """Return answers with which the lab fits: those of a variant, else the first ones."""
    answers = {"process_manager": "systemd"} if variant == "systemd" else {}
    needed = {question: variant if variant in wanted else wanted[0] for question, wanted in lab.needs.items()}
    return answers | needed


@pytest.fixture
def unbroken(baked: Callable[..., Path], lab: Lab, variant: str) -> Path:
    """Return a project that the lab fits."""
    answers = answers_for(lab, variant)
    require_programs(answers.items())
    return baked(**answers)


@pytest.fixture
def patches(unbroken: Path, lab: Lab) -> dict[str, str]:
    """Return the lab's patches for it."""
    return lab.patches(find(unbroken))


@pytest.fixture
def patched(unbroken: Path, patches: dict[str, str], tmp_path: Path) -> Callable[..., Verdict]:
    """Return a function that runs checks on the project with some of the patches."""

    def run(*names: str, ids: set[str]) -> Verdict:
        project = copy_of(unbroken, Path(tempfile.mkdtemp(dir=tmp_path), "notes_api"))
        for name in names:
            command = ["git", "apply", "--recount", "--unidiff-zero", "-"]
            subprocess.run(command, cwd=project, input=patches[name], text=True, check=True)
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
    patches: dict[str, str],
    patched: Callable[..., Verdict],
    pytestconfig: pytest.Config,
    verdict_of: VerdictOf,
) -> None:
    """Exactly the expected checks are red; a false fix leaves one of the lab's red; the fix leaves none."""

    def require(is_right: Callable[[Verdict], bool], *names: str, ids: set[str]) -> None:
        verdict = verdict_of(lambda: patched(*names, ids=ids), is_right)
        assert is_right(verdict), f"{names}: {sorted(reds(verdict))}\n{verdict.explain()}"

    everything = pytestconfig.option.labs_all
    false_fixes = [name for name in patches if name.startswith("false_fix_")]
    ids = neighbours(lab) if everything else set(lab.checks)
    require(lambda verdict: reds(verdict) == set(lab.red), "break", ids=ids)
    for name in false_fixes[: None if everything else 1]:
        require(lambda verdict: bool(reds(verdict)), "break", name, ids=set(lab.checks))
    require(lambda verdict: verdict.ids("passed") == ids, "break", "fix", ids=ids)
