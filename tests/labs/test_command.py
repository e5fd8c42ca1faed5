"""The command line: a learner's way through a lab, and everything that is refused."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from harness import make_environment

from pytest_deploycheck.commands import main
from pytest_deploycheck.commands.error import CommandError
from pytest_deploycheck.labs import trial, watch
from pytest_deploycheck.labs.lab import all_labs
from pytest_deploycheck.labs.repository import Repository
from pytest_deploycheck.outcome import Result, Status

NAME = "exit-code-zero"
BREAK = "autorestart=unexpected"
CONF = "deploy/supervisord.conf"


def git(project: Path, *arguments: str) -> str:
    """Run git as somebody."""
    command = ["git", "-c", "user.name=x", "-c", "user.email=x@x", *arguments]
    return subprocess.run(command, cwd=project, check=True, capture_output=True, text=True).stdout


@pytest.fixture(scope="module")
def committed(baked: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with a repository, as the template makes it; without an environment."""
    made = tmp_path_factory.mktemp("committed") / "notes_api"
    shutil.copytree(baked(), made, ignore=shutil.ignore_patterns(".venv"))
    git(made, "init", "-q", "-b", "main")
    git(made, "add", "-A")
    git(made, "commit", "-q", "-m", "Begin")
    return made


@pytest.fixture
def project(committed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a copy of it."""
    made = shutil.copytree(committed, tmp_path / "notes_api")
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def lab(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Return a function that runs ``deploycheck lab``, and gives exit status and output."""

    def run(*arguments: str) -> tuple[int, str]:
        status = main(["lab", *arguments])
        captured = capsys.readouterr()
        return status, captured.out + captured.err

    return run


Lab = Callable[..., tuple[int, str]]


def result(check_id: str, status: Status) -> Result:
    """Return the result of a check as a report has it."""
    return Result(
        id=check_id,
        concept="restarts",
        title="a promise",
        status=status,
        evidence=None,
        duration_s=0.1,
        detail="how it is mended",
        measurements={},
        seen="was seen",
    )


@pytest.fixture
def verdicts(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Status]]:
    """Return a list of outcomes, which the next trials take in the place of runs."""
    planned: list[dict[str, Status]] = []

    def run(_root: Path, ids: tuple[str, ...], _tick: object) -> list[Result]:
        given = planned.pop(0)
        return [result(name, given.get(name, Status.PASSED)) for name in ids]

    monkeypatch.setattr(trial, "run", run)
    return planned


def head(project: Path) -> str:
    """Return the branch that is checked out."""
    return git(project, "branch", "--show-current").strip()


def test_the_way_through_a_lab(project: Path, lab: Lab, verdicts: list[dict[str, Status]]) -> None:
    """Begin, look, take hints, try, mend, leave: each step does what it says, and the own branch is as it was."""
    before = git(project, "rev-parse", "HEAD")
    assert NAME in lab("list")[1]
    status, said = lab("start", NAME)
    assert (status, head(project)) == (0, f"lab/{NAME}")
    assert BREAK not in said
    assert BREAK in (project / CONF).read_text(encoding="utf-8")
    assert git(project, "log", "-1", "--format=%s").strip() == f"Lab {NAME}"
    assert git(project, "status", "--porcelain") == ""
    assert "nothing" in lab("diff")[1]
    assert "Hint 2" not in lab("hint")[1]
    assert "Hint 2 of 4" in lab("hint")[1]

    verdicts.append({"RST003": Status.FAILED})
    status, said = lab("check")
    assert status == 1
    assert "RED        RST003" in said
    assert "Seen: was seen" in said
    assert "how it is mended" not in said
    assert "Hints left: 2" in said

    text = (project / CONF).read_text(encoding="utf-8")
    (project / CONF).write_text(text.replace(BREAK, "autorestart=true"), encoding="utf-8")
    (project / "notes.txt").write_text("what I found\n", encoding="utf-8")
    changes = lab("diff")[1]
    assert "+autorestart=true" in changes
    assert "+what I found" in changes
    assert git(project, "diff", "--cached", "--name-only") == ""
    verdicts.append({})
    status, said = lab("check")
    assert status == 0
    assert "mended" in said
    assert "What does not help" in said

    assert "solved" in lab("status")[1]
    status, said = lab("leave")
    assert (status, head(project)) == (0, "main")
    assert git(project, "rev-parse", "HEAD") == before
    assert not (project / "notes.txt").exists()
    assert "+what I found" in git(project, "show", f"lab/{NAME}")
    lab("start", NAME)
    assert (project / "notes.txt").exists()


def test_waived_and_untried_checks_are_not_green(
    project: Path, lab: Lab, verdicts: list[dict[str, Status]]
) -> None:
    """Only what passed counts: a waiver, a setting that is taken away and a missing tool solve nothing."""
    lab("start", NAME)
    for status in set(Status) - {Status.PASSED}:
        verdicts.append({"RST003": status})
        assert lab("check")[0] == 1
    assert "solved" not in lab("status")[1]


def test_reset_keeps_each_attempt_and_begins_anew(project: Path, lab: Lab) -> None:
    """An attempt goes to a branch of its own; where nothing was done, nothing is kept."""
    for number in (1, 2):
        lab("start", NAME)
        (project / "notes.txt").write_text(f"attempt {number}\n", encoding="utf-8")
        assert f"lab-attempts/{NAME}-{number}" in lab("reset")[1]
        assert f"+attempt {number}" in git(project, "show", f"lab-attempts/{NAME}-{number}")
    lab("start", NAME)
    assert "kept" not in lab("reset")[1]
    assert head(project) == "main"
    assert f"lab/{NAME}" not in git(project, "branch").split()


def test_solve_saves_the_attempt_and_shows_the_solution(project: Path, lab: Lab) -> None:
    """The files are then as the fix has them, and the learner's are in the history."""
    lab("start", NAME)
    (project / CONF).write_text("nonsense\n", encoding="utf-8")
    assert "+autorestart=true" in lab("solve")[1]
    assert "autorestart=true" in (project / CONF).read_text(encoding="utf-8")
    assert git(project, "show", f"HEAD~1:{CONF}") == "nonsense\n"
    assert "solution shown" in lab("status")[1]


def test_watch_checks_again_after_a_save(
    project: Path, lab: Lab, verdicts: list[dict[str, Status]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It runs until it is green, and names what was changed."""
    lab("start", NAME)
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.01)
    verdicts += [{"RST003": Status.FAILED}, {}]

    def save(*_: object) -> list[Result]:
        (project / "notes.txt").write_text("saved\n", encoding="utf-8")
        return after(*_)

    after = trial.run
    monkeypatch.setattr(trial, "run", save)
    status, said = lab("check", "--watch")
    assert status == 0
    assert "Changed: notes.txt" in said


@pytest.mark.parametrize(
    ("prepare", "arguments", "says"),
    [
        ("", ("start", "exit-code"), "did you mean exit-code-zero?"),
        (
            "",
            ("start", "replicas-times-workers-times-pool"),
            "database = postgresql, and this one has sqlite",
        ),
        ("echo x >> .env.example", ("start", NAME), ".env.example is not committed"),
        ("echo x > new", ("start", NAME), "new is not committed"),
        ("git checkout -q --detach", ("start", NAME), "no way back"),
        ("git branch lab/exit-code-zero", ("start", NAME), "no lab of yours"),
        ("git branch lab", ("start", NAME), "git branch: "),
        ("sed -i /autorestart/d deploy/supervisord.conf; git commit -qam x", ("start", NAME), "does not fit"),
        ("rm -rf .git", ("start", NAME), "git init"),
        ("rm -rf .git; git init -q", ("start", NAME), "nothing is committed"),
        ("git rm -q pyproject.toml; git commit -q -m x", ("start", NAME), "no project"),
        ("echo '[' >> pyproject.toml", ("start", NAME), "pyproject.toml"),
        ("mkdir .git/deploycheck; echo '[1]' > .git/deploycheck/labs.json", ("status",), "is damaged"),
        ("", ("check",), "no lab is open"),
        ("", ("hint",), "no lab is open"),
        ("", ("diff",), "no lab is open"),
        ("", ("leave",), "no lab is open"),
        ("", ("reset",), "no lab is open"),
        ("", ("solve",), "no lab is open"),
    ],
)
def test_a_refusal_is_one_line_and_changes_nothing(
    project: Path, lab: Lab, prepare: str, arguments: tuple[str, ...], says: str
) -> None:
    """What is in the way is named; no branch, no commit and no file is different afterwards."""
    environment = os.environ | {
        f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    subprocess.run(["sh", "-ec", prepare], cwd=project, check=True, env=environment)
    before = state(project)
    status, said = lab(*arguments)
    assert status == 2
    assert len(said.splitlines()) == 1
    assert said.startswith("deploycheck: ")
    assert says in said
    assert state(project) == before


def state(project: Path) -> tuple[str, str, str]:
    """Return all that a command could change: files, branches, what is checked out."""
    shown = [
        subprocess.run(
            ["git", *command.split()], cwd=project, capture_output=True, text=True, check=False
        ).stdout
        for command in (
            "status --porcelain --ignored",
            "for-each-ref refs/heads",
            "rev-parse --abbrev-ref HEAD",
        )
    ]
    return shown[0], shown[1], shown[2]


def test_one_lab_at_a_time(project: Path, lab: Lab) -> None:
    """A second start says how to leave the first, also if it is the same."""
    lab("start", NAME)
    for name in (NAME, "my-shell-had-it"):
        assert "lab leave comes first" in lab("start", name)[1]


def test_without_git_it_is_named(project: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line with the command that installs it."""
    monkeypatch.setenv("PATH", "/nonexistent")
    status, said = lab("status")
    assert (status, said.count("\n")) == (2, 1)
    assert "apt-get install git" in said


def test_the_branch_to_go_back_to_is_gone(project: Path, lab: Lab) -> None:
    """Nothing is left then, and nothing is lost."""
    git(project, "switch", "-q", "-c", "mine")
    lab("start", NAME)
    git(project, "branch", "-D", "mine")
    assert "mine, which you came from, is gone" in lab("leave")[1]
    assert head(project) == f"lab/{NAME}"


def test_a_project_in_a_folder_of_a_larger_repository(
    committed: Path, tmp_path: Path, lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patches are applied below that folder, and the way back is the same."""
    made = tmp_path / "services" / "notes_api"
    shutil.copytree(committed, made, ignore=shutil.ignore_patterns(".git"))
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "Begin")
    monkeypatch.chdir(made / "deploy")
    assert lab("start", NAME)[0] == 0
    assert BREAK in (made / CONF).read_text(encoding="utf-8")
    assert lab("reset")[0] == 0
    assert BREAK not in (made / CONF).read_text(encoding="utf-8")


def test_help_teaches_each_command(capsys: pytest.CaptureFixture[str]) -> None:
    """Help shows the way through a lab; no command at all shows the commands."""
    with pytest.raises(SystemExit):
        main(["lab", "--help"])
    said = capsys.readouterr().out
    assert "the way through a lab" in said
    assert "check --watch" in said
    assert main(["lab"]) == 2
    assert "the way through a lab" in capsys.readouterr().out
    assert main([]) == 2
    assert "doctor" in capsys.readouterr().out


def deploycheck(*arguments: str) -> list[str]:
    """Return the command line of the command itself."""
    return [sys.executable, "-m", "pytest_deploycheck", *arguments]


@pytest.mark.slow
def test_a_real_check_and_ctrl_c(project: Path, lab: Lab) -> None:
    """Ctrl-C in the middle of a check leaves no process and the lab as it was; a check to its end tells what is red."""
    name = "the-health-check-that-cannot-fail"
    make_environment(project)
    lab("start", name)
    running = subprocess.Popen(
        deploycheck("lab", "check"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not any("supervisord" in " ".join(child.cmdline()) for child in live(running.pid)):
        assert time.monotonic() < deadline, "no stack was started"
        assert running.poll() is None, running.communicate()
        time.sleep(0.1)
    below = live(running.pid)
    os.killpg(running.pid, signal.SIGINT)
    _, error = running.communicate(timeout=180)
    assert (running.returncode, error.strip()) == (130, "deploycheck: interrupted")
    assert psutil.wait_procs(below, timeout=60)[1] == []
    assert git(project, "status", "--porcelain") == ""

    done = subprocess.run(
        deploycheck("lab", "check"), capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "RED        RST011" in done.stdout
    assert "health_check =" not in done.stdout
    progress = json.loads((project / ".git/deploycheck/labs.json").read_text(encoding="utf-8"))
    assert progress[name]["checks"] == 1


def live(pid: int) -> list[psutil.Process]:
    """Return everything below a process that can still be asked."""
    found = []
    for child in psutil.Process(pid).children(recursive=True):
        try:
            child.cmdline()
        except psutil.Error:
            continue
        found.append(child)
    return found


def test_every_lab_is_listed(project: Path, lab: Lab) -> None:
    """With its minutes, whether it is on the core path, and with the reason where it does not fit."""
    said = lab("list")[1]
    lines = {line.split()[0]: line for line in said.splitlines() if " min " in line}
    assert {name for name, line in lines.items() if " core " in line} == {
        record.name for record in all_labs() if record.core
    }
    assert lines.keys() == {record.name for record in all_labs()}
    assert "needs a project with database = postgresql" in said


def test_labs_are_listed_outside_of_a_project_too(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who looks around sees what there is, and why it cannot begin here."""
    monkeypatch.chdir(tmp_path)
    status, said = lab("list")
    assert status == 0
    assert all(record.name in said for record in all_labs())
    assert "They cannot begin here: " in said


@pytest.mark.parametrize("command", [("start", NAME), ("leave",), ("reset",), ("solve",)])
def test_ctrl_c_at_any_moment_leaves_a_sane_state(
    project: Path, lab: Lab, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whenever it comes, nothing is half done: a known branch, a clean tree, and all that was written."""
    if command[0] != "start":
        lab("start", NAME)
        (project / "notes.txt").write_text("what I found\n", encoding="utf-8")
    real, calls = Repository.git, 0

    def git_and_ctrl_c(*arguments: Any, **options: Any) -> str:
        nonlocal calls
        calls += 1
        if calls == moment:
            os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **options)

    monkeypatch.setattr(Repository, "git", git_and_ctrl_c)
    for moment in itertools.count(1):
        here = shutil.copytree(project, project.parent / str(moment))
        monkeypatch.chdir(here)
        calls = 0
        status, said = lab(*command)
        interrupted = calls >= moment
        assert (status, "interrupted" in said) == ((130, True) if interrupted else (0, False))
        tree = git(here, "status", "--porcelain").strip()
        history = git(here, "log", "--all", "--format=", "--name-only").split()
        assert head(here) in {"main", f"lab/{NAME}"}
        assert tree in {"", "?? notes.txt"}
        assert command[0] == "start" or tree or "notes.txt" in history
        if not interrupted:
            break
    assert moment > 3


def test_a_project_that_was_broken_further_can_be_left(project: Path, lab: Lab) -> None:
    """Settings that cannot be read are no reason to stay; the attempt is saved as it is."""
    lab("start", NAME)
    (project / "pyproject.toml").write_text("[tool.deploycheck", encoding="utf-8")
    assert lab("check")[0] == 2
    assert "+[tool.deploycheck" in lab("diff")[1]
    assert lab("leave")[0] == 0
    assert git(project, "show", f"lab/{NAME}:pyproject.toml") == "[tool.deploycheck"


def test_watching_survives_a_file_that_was_saved_half_way(
    project: Path, lab: Lab, verdicts: list[dict[str, Status]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be checked is told, and the next save is waited for; a hint taken meanwhile is not forgotten."""
    lab("start", NAME)
    monkeypatch.setattr(watch, "LOOK_EVERY_S", 0.01)
    verdicts.append({})
    after, runs = trial.run, 0

    def run(*given: Any) -> list[Result]:
        nonlocal runs
        runs += 1
        (project / "notes.txt").write_text(f"saved {runs}\n", encoding="utf-8")
        if runs == 1:
            raise CommandError("the checks did not run")
        main(["lab", "hint"])
        return after(*given)

    monkeypatch.setattr(trial, "run", run)
    status, said = lab("check", "--watch")
    assert (status, runs) == (0, 2)
    assert "the checks did not run" in said
    assert "1 hint, 1 check" in lab("status")[1]
