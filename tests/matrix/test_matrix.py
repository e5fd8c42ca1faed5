"""Each two answers that go together make a project that is in order; what does not go together is refused.

By default as many of the combinations are made as have each answer once, with a check of each concept; ``make matrix``
makes all, with all checks.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import container_engine
import pytest
from cookiecutter.exceptions import FailedHookException
from harness import PACKAGE_OF, PROGRAMS_OF, run_deploycheck, run_tool
from pairs import (
    Answers,
    all_pairs,
    combinations,
    impossible_pairs,
    pairs_of,
    questions,
    refused,
    some_combinations,
)

from pytest_deploycheck.sandbox.tools import SYSTEM_PATH

ONE_OF_EACH_CONCEPT = "TLS001,BOOT002,RST002,REP001,MEM001,PRE001,RES004"


def named(answers: Answers) -> str:
    """Return a name for a combination."""
    return "-".join(answer.strip("/").replace("/", "_") or "root" for answer in answers.values())


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make some combinations, or all."""
    if "answers" in metafunc.fixturenames:
        chosen = combinations() if metafunc.config.option.matrix else some_combinations()
        metafunc.parametrize("answers", chosen, ids=named, scope="module")


@pytest.fixture(scope="module")
def project(answers: Answers, baked: Callable[..., Path]) -> Path:
    """Return the project of a combination."""
    return baked(**answers)


def test_each_possible_pair_is_in_a_combination() -> None:
    """No two answers go together unseen."""
    met = set().union(*(pairs_of(answers) for answers in combinations()))
    assert met == all_pairs() - impossible_pairs()


def test_each_answer_is_in_one_of_some_combinations() -> None:
    """No answer goes unseen from day to day."""
    met = {answer for answers in some_combinations() for answer in answers.items()}
    assert met == {(question, answer) for question, answers in questions().items() for answer in answers}
    assert len(some_combinations()) < len(combinations()) / 3


@pytest.mark.parametrize(
    ("manager", "workers", "memory_mb", "wrong"),
    [
        # Each pod or container has one worker and all of the memory, and the database takes all their pools.
        ("kubernetes", "8", "512", []),
        ("kubernetes", "38", "110", []),
        ("kubernetes", "39", "512", ["workers"]),
        ("kubernetes", "2", "109", ["memory_limit_mb"]),
        ("cloud", "48", "128", []),
        ("cloud", "49", "512", ["workers"]),
        # What Cloud Run, Fly.io and Render all have.
        ("cloud", "2", "127", ["memory_limit_mb"]),
        ("cloud", "2", "16384", []),
        ("cloud", "2", "16385", ["memory_limit_mb"]),
        # All workers of a machine share its memory.
        ("supervisor", "8", "512", ["memory_limit_mb"]),
        ("supervisor", "256", "100000", []),
        ("swarm", "12", "110", []),
    ],
)
def test_workers_and_memory_fit_what_each_instance_has(
    manager: str, workers: str, memory_mb: str, wrong: list[str]
) -> None:
    """What is taken can be deployed, and what is refused could not."""
    answers = {"process_manager": manager, "database": "postgresql"}
    assert refused({**answers, "workers": workers, "memory_limit_mb": memory_mb}) == wrong


@pytest.mark.parametrize(
    "pair", sorted(impossible_pairs(), key=sorted), ids=lambda pair: "-".join(sorted(dict(pair).values()))
)
def test_what_does_not_go_together_is_refused(
    pair: frozenset[tuple[str, str]], baked: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    """The prompt says which answer it is, and what to choose."""
    answers = dict(pair)
    assert refused(answers)
    with pytest.raises(FailedHookException):
        baked(**answers)
    said = capfd.readouterr().err
    assert any(f"{question} cannot be '{answer}': " in said for question, answer in pair), said


@pytest.mark.slow
def test_it_is_in_order(project: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Ruff and mypy find nothing to say."""
    run_tool(project, "ruff", "check", "--no-cache")
    run_tool(project, "ruff", "format", "--check", "--no-cache")
    run_tool(project, "mypy", "--cache-dir", str(tmp_path_factory.getbasetemp() / "mypy"))


@pytest.mark.slow
def test_it_deploys(project: Path, answers: Answers, pytestconfig: pytest.Config) -> None:
    """Its own tests pass, and no check fails, as far as this machine allows."""
    run_tool(project, "pytest", "-q", "-p", "no:cacheprovider")
    has_containers = answers["process_manager"] in ("compose", "swarm")
    if has_containers and not pytestconfig.option.matrix:
        pytest.skip("its containers run with --matrix; tests/plugin/test_containers.py has others")
    for answer in answers.values():
        for program in PROGRAMS_OF.get(answer, ()):
            if not shutil.which(program, path=SYSTEM_PATH):
                pytest.skip(f"apt-get install {PACKAGE_OF.get(program, program)}")
    with contextlib.ExitStack() as opened:
        if has_containers:
            if lack := container_engine.missing():
                pytest.skip(lack)
            engine = opened.enter_context(container_engine.engine())
            container_engine.use_images(project)
            if answers["process_manager"] == "swarm":
                if lack := container_engine.other_swarm():
                    pytest.skip(lack)
                opened.enter_context(container_engine.swarm(engine))
        few = () if pytestconfig.option.matrix else (f"--deploycheck-select={ONE_OF_EACH_CONCEPT}",)
        verdict = run_deploycheck(project, *few)
    assert not verdict.caught, verdict.explain()
    assert not verdict.ids("blocked"), verdict.output
    assert verdict.ids("passed"), verdict.output
