"""``deploycheck doctor`` tells before a run what will be missing in it."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harness import REPOSITORY, copy_of

from pytest_deploycheck.commands import doctor, main
from pytest_deploycheck.sandbox import tools

Doctor = Callable[[], tuple[int, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Return a function that runs it, and gives exit status and output."""

    def run() -> tuple[int, str]:
        status = main(["doctor"])
        return status, capsys.readouterr().out

    return run


def only(monkeypatch: pytest.MonkeyPatch, folder: Path, *programs: str) -> None:
    """Let the system have these programs and no others."""
    folder.mkdir()
    for program in programs:
        (folder / program).touch(mode=0o755)
    monkeypatch.setattr(tools, "SYSTEM_PATH", str(folder))


def test_a_project_is_asked_for_what_it_needs_only(
    baked: Callable[..., Path], tmp_path: Path, run: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tools of other answers are not named; one that is missing comes with its check and its install command."""
    monkeypatch.chdir(copy_of(baked(), tmp_path / "notes_api"))
    only(monkeypatch, tmp_path / "system", "systemctl", "git")
    status, said = run()
    assert status == 1
    assert re.search(r"missing +pebble +for TLS010\n +apt-get install pebble", said)
    assert "Not verified until that is installed: TLS010" in said
    assert re.search(r"found +supervisord +for all checks", said)
    assert not re.search("nginx|haproxy|traefik|uvicorn|PostgreSQL", said)


@pytest.mark.parametrize("proxy", ["traefik", "nginx", "haproxy"])
def test_what_images_have_is_not_asked_of_the_machine(
    proxy: str, baked: Callable[..., Path], tmp_path: Path, run: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy runs in a container, as does certbot, and the engine does what systemd would."""
    baked_project = baked(process_manager="compose", https_proxy=proxy)
    monkeypatch.chdir(copy_of(baked_project, tmp_path / "notes_api"))
    only(monkeypatch, tmp_path / "system", "git")
    _, said = run()
    assert f"compose, {proxy}, gunicorn, sqlite" in said
    assert re.search("(found|missing) +Docker", said)
    assert not re.search(f"(found|missing) +({proxy}|certbot|systemctl)", said)


def test_all_is_well_where_all_is_here(
    baked: Callable[..., Path], tmp_path: Path, run: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then the exit status is 0."""
    monkeypatch.chdir(copy_of(baked(), tmp_path / "notes_api"))
    only(monkeypatch, tmp_path / "system", "systemctl", "git", "pebble", "pebble-challtestsrv")
    status, said = run()
    assert status == 0
    assert "missing" not in said


def test_outside_of_a_project_only_what_all_need_is_missed(
    tmp_path: Path, run: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy that only some projects have is listed with the answer that needs it."""
    monkeypatch.chdir(tmp_path)
    only(monkeypatch, tmp_path / "system", "systemctl", "git", "pebble", "pebble-challtestsrv")
    status, said = run()
    assert status == 0
    assert re.search(r"missing +haproxy +for all checks \(haproxy\)", said)
    shutil.rmtree(tmp_path / "system")
    assert run()[0] == 1


def test_it_knows_everything_that_checks_ask_for() -> None:
    """Each program whose absence makes a check "not verified" is in the list, with the same install command."""
    sources = "\n".join(
        file.read_text(encoding="utf-8") for file in (REPOSITORY / "pytest_deploycheck").rglob("*.py")
    )
    asked = set(re.findall(r"""require\([^)]*install=f?"([^"]*)"\)""", sources))
    assert len(asked) >= 6
    known = {need.install for need in doctor.needs()}
    assert {text for text in asked if "{" not in text} <= known
