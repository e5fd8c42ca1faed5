"""What is read of systemd's units, and what is said where no machine can be booted."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from pytest_deploycheck.outcome import NotVerified
from pytest_deploycheck.probes.units import all_units, settings_of, template_of
from pytest_deploycheck.sandbox import machine
from pytest_deploycheck.stacks.selection import folder_for_runs, has_units
from pytest_deploycheck.stacks.systemd.journal import CONSOLE_LINE


def write(root: Path, name: str, text: str) -> None:
    """Write a file of /etc/systemd/system below ``root``."""
    file = root / "etc/systemd/system" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_drop_ins_of_a_prefix_count(tmp_path: Path) -> None:
    """``a-.service.d`` is for all units whose name begins so; drop-ins are read in the order of their names."""
    write(tmp_path, "a-b.service", "[Service]\nUser=x\nExecStart=/bin/true\n")
    write(tmp_path, "a-.service.d/1.conf", "[Service]\nUser=y\nTimeoutStopSec=1min 30s\n")
    write(tmp_path, "a-b.service.d/2.conf", "[Service]\nExecStart=\nExecStart=/bin/false\n")
    unit = all_units(tmp_path)["a-b.service"]
    assert unit.last("User") == "y"
    assert unit.commands("ExecStart") == ["/bin/false"]
    assert unit.seconds("TimeoutStopSec", 0) == 90
    assert unit.seconds("TimeoutStartSec", 7) == 7


def test_instances_are_found_by_their_links(tmp_path: Path) -> None:
    """A template runs nothing; its instances do, those that are enabled."""
    write(tmp_path, "a@.service", "[Service]\nExecStart=/bin/true\n")
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir()
    for number in (1, 2):
        (wants / f"a@{number}.service").symlink_to("/etc/systemd/system/a@.service")
    assert list(all_units(tmp_path)) == ["a@1.service", "a@2.service"]
    assert {template_of(name) for name in all_units(tmp_path)} == {"a@.service"}


def test_sockets_are_read_with_their_drop_ins(tmp_path: Path) -> None:
    """An empty value forgets those before it, in units of each kind."""
    write(tmp_path, "a.socket", "[Socket]\nListenStream=127.0.0.1:8000\n")
    write(tmp_path, "a.socket.d/zz.conf", "[Socket]\nListenStream=\nListenStream=127.0.0.1:9000\n")
    write(tmp_path, "a.timer", "[Timer]\nUnit=b.service\n")
    assert settings_of(tmp_path, ".socket") == {"a.socket": {("Socket", "ListenStream"): ["127.0.0.1:9000"]}}
    assert settings_of(tmp_path, ".timer") == {"a.timer": {("Timer", "Unit"): ["b.service"]}}


@pytest.mark.parametrize(
    ("text", "who", "said"),
    [
        ("[  12.345678] run[42]:   an indented line", "run", "  an indented line"),
        ("[ 3164.632231] systemd[1]: Started a.service.", "systemd", "Started a.service."),
        ("[    0.1] kernel: text: more", "kernel", "text: more"),
    ],
)
def test_lines_of_the_console(text: str, who: str, said: str) -> None:
    """A line of the journal is told as its program has written it."""
    match = CONSOLE_LINE.fullmatch(text)
    assert match
    assert (match["who"], match["text"]) == (who, said)


def test_words_survive_systemds_files() -> None:
    """Quotes, backslashes and specifiers are not systemd's to interpret."""
    assert machine.quoted('A=1 "2" \\ 100%') == r'"A=1 \"2\" \\ 100%%"'


def test_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No traceback, and no other stack: one line with the command."""
    monkeypatch.setattr(machine, "require", lambda *_, **__: None)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotVerified, match=r"needs root: sudo .* -m pytest --deploycheck"):
        machine.require_machines(tmp_path)


def test_units_are_told_from_other_configurations(copy: Any) -> None:
    """A folder of units means systemd; any file that is no unit means Supervisor, and the usual place for its runs."""
    config = copy.run.config
    assert not has_units(config)
    assert folder_for_runs(config) is None
    (config.root / config.manager_config).mkdir()
    assert has_units(config)
