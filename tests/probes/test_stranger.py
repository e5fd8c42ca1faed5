"""The stranger gets in exactly where another user or another address would, with root's rights and without."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_deploycheck.probes import stranger


@contextlib.contextmanager
def listening(folder: Path, *, folder_mode: int, socket_mode: int) -> Iterator[Path]:
    """Listen on a unix socket in a folder below ``folder``; yield its path."""
    path = folder / "run" / "app.sock"
    path.parent.mkdir(mode=0o755)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(socket_mode)
        path.parent.chmod(folder_mode)
        yield path


@pytest.mark.parametrize(
    ("folder_mode", "socket_mode", "connected"),
    [(0o755, 0o666, True), (0o711, 0o602, True), (0o700, 0o666, False), (0o755, 0o660, False)],
)
@pytest.mark.parametrize("root", [True, False], ids=["tried", "by modes"])
def test_another_user_connects_only_where_modes_let_him(
    *,
    folder_mode: int,
    socket_mode: int,
    connected: bool,
    root: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A private folder above the project, as the sandbox is one, does not hide what the project leaves open."""
    if root and os.geteuid() != 0:
        pytest.skip("only root can be another user")
    if not root:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
    project = tmp_path / "project"
    project.mkdir(mode=0o755)
    tmp_path.chmod(0o700)
    with listening(project, folder_mode=folder_mode, socket_mode=socket_mode) as path:
        attempt = stranger.connect_as_other_user(path, below=project)
    assert attempt.connected is connected, attempt
    assert attempt.tried is root


@pytest.mark.parametrize(("host", "reached"), [("127.0.0.1", None), ("0.0.0.0", "127.0.0.2")])
def test_only_a_listener_on_all_addresses_is_reached_from_elsewhere(host: str, reached: str | None) -> None:
    """The kernel's list of our own listeners is what is tried."""
    with socket.create_server((host, 0)) as listener:
        port = listener.getsockname()[1]
        assert (host, port) in stranger.listeners([os.getpid()])
        assert stranger.reached_from_elsewhere(host, port) == reached
