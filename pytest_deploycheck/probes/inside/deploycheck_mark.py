"""What plugin and probe agree upon. Standard library only: it is loaded into the project's processes too."""

import signal

MARK = "/.deploycheck/"
EXIT_SIGNAL = signal.SIGRTMIN + 5
TIDY_SIGNAL = signal.SIGRTMIN + 6
DISK_SIGNAL = signal.SIGRTMIN + 9
PID_HEADER = "x-deploycheck-pid"
