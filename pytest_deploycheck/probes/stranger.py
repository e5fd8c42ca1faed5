"""Somebody who is not the proxy, and tries to reach the app: another user, another address.

Run as a program (see ``connect_as_other_user``) it imports little, and all of it before it gives up its rights.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

OTHER_USER = 65_534
OTHER_ADDRESSES = ("127.0.0.2", "127.0.0.3")
TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt of another user to connect to a unix socket.

    Attributes:
        connected: whether it succeeded, or would.
        tried: whether it was made. Only root can be another user; else it is told from the modes of the live socket
            and of its folders, which the kernel goes by.
        said: the error, or the modes.
    """

    connected: bool
    tried: bool
    said: str


def connect_as_other_user(path: Path, *, below: Path) -> Attempt:
    """Connect to a unix socket as a user who owns nothing.

    Folders above ``below`` do not count: those are the sandbox's, and private.
    """
    start = below if path.is_relative_to(below) else Path("/")
    relative = path.relative_to(start)
    if os.geteuid() == 0:
        done = subprocess.run(
            [sys.executable, "-I", "-S", __file__, str(relative)],
            cwd=start,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S + 5,
            check=False,
        )
        if done.returncode == 0:
            said = done.stdout.strip()
            return Attempt(connected=said == "connected", tried=True, said=said)
    modes = [(name, stat.S_IMODE((start / name).stat().st_mode)) for name in _way(relative)]
    *folders, (_, socket_mode) = modes
    passable = all(mode & stat.S_IXOTH for _, mode in folders)
    return Attempt(
        connected=passable and bool(socket_mode & stat.S_IWOTH),
        tried=False,
        said=", ".join(f"{name} has mode {mode:04o}" for name, mode in modes),
    )


def _way(relative: Path) -> list[Path]:
    """Return all that is passed on the way to a file: the folder where it starts, those below, the file."""
    return [*reversed(relative.parents), relative]


def listeners(pids: Iterable[int]) -> set[tuple[str, int]]:
    """Return the addresses at which processes take TCP connections."""
    import psutil

    found: set[tuple[str, int]] = set()
    for pid in pids:
        try:
            connections = psutil.Process(pid).net_connections("tcp")
        except psutil.Error:
            continue
        found |= {(str(c.laddr[0]), int(c.laddr[1])) for c in connections if c.status == psutil.CONN_LISTEN}
    return found


def is_loopback(host: str) -> bool:
    """Tell whether an address is for this machine alone."""
    return ipaddress.ip_address(host).is_loopback


def reached_from_elsewhere(host: str, port: int) -> str | None:
    """Connect to a listener not at the loopback address that it has; return the address that took it."""
    ip = ipaddress.ip_address(host)
    others = [address for address in OTHER_ADDRESSES if address != host][:1]
    targets = [*others, "::1"] if ip.is_unspecified else others if ip.is_loopback else [host]
    for target in targets:
        try:
            socket.create_connection((target, port), timeout=TIMEOUT_S).close()
        except OSError:
            continue
        return target
    return None


def _be_other_user_and_connect(path: str) -> str:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(TIMEOUT_S)
    os.setgroups([])
    os.setresgid(OTHER_USER, OTHER_USER, OTHER_USER)
    os.setresuid(OTHER_USER, OTHER_USER, OTHER_USER)
    try:
        connection.connect(path)
    except OSError as error:
        return os.strerror(error.errno) if error.errno else str(error)
    return "connected"


if __name__ == "__main__":
    print(_be_other_user_and_connect(sys.argv[1]))
