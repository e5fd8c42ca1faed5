"""What plugin and probe agree upon. Standard library only: it is loaded into the project's processes too."""

import binascii
import os
import signal

MARK = "/.deploycheck/"
EXIT_SIGNAL = signal.SIGRTMIN + 5
TIDY_SIGNAL = signal.SIGRTMIN + 6
DISK_SIGNAL = signal.SIGRTMIN + 9
# Events that go to the log are told by how their lines begin.
LOG, EVENT = "log", "deploycheck-event "
# What the kernel keeps from the first process of a container, when it comes from inside: SIGKILL and SIGSTOP.
DEATH_SIGNAL = signal.SIGRTMIN + 7
HANG_SIGNAL = signal.SIGRTMIN + 8
PID_HEADER = "x-deploycheck-pid"

# Where processes have numbers of their own (a PID namespace), the plugin's /proc is to be seen here.
_PROC = os.environ.get("DEPLOYCHECK_PROC", "/proc")
_pids: dict[int, int] = {}
# In a cluster the plugin sees no /proc: the pod's own identity stands here, and numbers are made of it.
_POD = os.environ.get("DEPLOYCHECK_POD", "")
_PIDS = 100_000


def own_pid() -> int:
    """Return this process's pid as the plugin sees it: ``self`` in a proc filesystem is a link to the reader's pid."""
    here = os.getpid()
    if here not in _pids:
        _pids[here] = number_of(here) if _POD else int(os.readlink(f"{_PROC}/self"))
    return _pids[here]


def number_of(pid: int) -> int:
    """Return what stands for a pid of this container: no other container has it, nor this one when it starts again.

    The kernel gives no pid as large as that.
    """
    with open("/proc/1/stat", encoding="utf-8", errors="replace") as file:
        born = file.read().rpartition(")")[2].split()[19]
    return (1_000_000 + binascii.crc32(f"{_POD} {born}".encode()) % 9_000_000) * _PIDS + pid


def pid_of(number: int) -> int:
    """Return the pid that a number stands for in its container."""
    return number % _PIDS
