"""What the kernel says of a process; see proc(5)."""

from pathlib import Path


def stat(pid: int) -> list[str]:
    """Read its account, from the state on.

    Raises:
        FileNotFoundError: it is gone.
    """
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()


def started(pid: int) -> int:
    """Tell when it started, in ticks since boot: a number may be used again after a death, both together never are."""
    return int(stat(pid)[19])
