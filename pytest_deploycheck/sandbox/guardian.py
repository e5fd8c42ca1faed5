"""Leaves nothing behind: ends every process of a run and removes its folders once the test process is gone.

It runs as a process of its own, because only that also works after a SIGKILL of the test process. It waits for the
end of its standard input, whose other end the test process holds; the operating system closes that in any case.
Only the standard library, so that it starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
import signal
import sys
import time

PATIENCE_S = 10.0
# An engine with a dozen containers to remove, on a busy machine; a cluster that empties its namespaces.
ORDERS_PATIENCE_S = 90.0
# All of it: to end the processes, to run the orders, and to remove the folders.
LONGEST_S = PATIENCE_S + ORDERS_PATIENCE_S + PATIENCE_S + 5
EMPTY_LOOKS = 4
# The end of the names of files with a command, as JSON, that is run when all processes are gone.
ORDER = ".at-the-end.json"


def environment_of(pid: int) -> bytes:
    """Return the environment that a process was started with; empty for zombies and for other users' processes."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            return file.read()
    except OSError:
        return b""


def parent_of(pid: int) -> int:
    """Return the parent's pid, 0 if the process is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[1])
    except OSError:
        return 0


def tagged_pids(tag: str) -> set[int]:
    """Return all live processes whose environment holds ``tag``, and their descendants."""
    pids = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]
    tagged = {pid for pid in pids if tag.encode() in environment_of(pid)}
    parents = {pid: parent_of(pid) for pid in pids if pid not in tagged}
    found = set(tagged)
    while more := {pid for pid, parent in parents.items() if parent in found and pid not in found}:
        found |= more
    return tagged | {pid for pid in found - tagged if environment_of(pid)}


def end_all(tag: str) -> set[int]:
    """SIGKILL all tagged processes until none is left; return those that would not go.

    While a process calls exec, the kernel shows no environment of it: only several empty looks in a row are the end.
    """
    deadline = time.monotonic() + PATIENCE_S
    empty_looks = 0
    pids: set[int] = set()
    while empty_looks < EMPTY_LOOKS and time.monotonic() < deadline:
        pids = tagged_pids(tag)
        for pid in sorted(pids):  # parents first: none is left to replace what dies, or to wait for it
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        empty_looks = 0 if pids else empty_looks + 1
        time.sleep(0.01)
    return pids


def run_orders(folder: str) -> None:
    """Run what the run has asked for, all at once; it has some seconds, and what it says is shown."""
    files = sorted(glob.glob(f"{glob.escape(folder)}/*{ORDER}"))
    if not files:
        return
    import json
    import subprocess

    processes = []
    for file in files:
        with open(file, encoding="utf-8") as order:
            processes.append(subprocess.Popen(json.load(order), stdin=subprocess.DEVNULL))
    deadline = time.monotonic() + ORDERS_PATIENCE_S
    for process in processes:
        try:
            process.wait(timeout=max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()


def remove_control_groups(name: str) -> None:
    """Remove all control groups whose name begins so, below those of this process; the kernel keeps empty ones."""
    with open("/proc/self/cgroup", encoding="ascii") as file:
        paths = [line.rstrip("\n").split(":", 2)[1:] for line in file]
    for controller, path in paths:
        for mount in (controller.removeprefix("name=") or "unified", ""):
            parent = os.path.join("/sys/fs/cgroup", mount, path.lstrip("/"))
            names = os.listdir(parent) if os.path.isdir(parent) else ()
            for found in (found for found in names if found.startswith(name)):
                for folder, _, _ in os.walk(os.path.join(parent, found), topdown=False):
                    with contextlib.suppress(OSError):
                        os.rmdir(folder)


def main() -> None:
    """Wait for the end of standard input, then clean up."""
    tag, *folders = sys.argv[1:]
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    left = end_all(tag)
    run_orders(folders[0])
    deadline = time.monotonic() + PATIENCE_S
    while any(map(os.path.exists, folders)) and time.monotonic() < deadline:
        for folder in folders:  # a dying process may still write into it
            shutil.rmtree(folder, ignore_errors=True)
    remove_control_groups(os.path.basename(folders[0]))
    sys.exit(f"still running: {sorted(left)}" if left else 0)


if __name__ == "__main__":
    main()
