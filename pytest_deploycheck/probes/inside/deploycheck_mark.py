"""What plugin and probe agree upon. Standard library only: it is loaded into the project's processes too."""

import os
import signal

MARK = "/.deploycheck/"
EXIT_SIGNAL = signal.SIGRTMIN + 5
TIDY_SIGNAL = signal.SIGRTMIN + 6
DISK_SIGNAL = signal.SIGRTMIN + 9
PID_HEADER = "x-deploycheck-pid"

# Where processes have numbers of their own (a PID namespace), the plugin's /proc is to be seen here.
_PROC = os.environ.get("DEPLOYCHECK_PROC", "/proc")
_pids: dict[int, int] = {}


def own_pid() -> int:
    """Return this process's pid as the plugin sees it: ``self`` in a proc filesystem is a link to the reader's pid."""
    here = os.getpid()
    if here not in _pids:
        _pids[here] = int(os.readlink(f"{_PROC}/self"))
    return _pids[here]
