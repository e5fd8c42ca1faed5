"""Notices that somebody has saved a file of the project."""

from __future__ import annotations

import time

from pytest_deploycheck.labs.repository import Repository

LOOK_EVERY_S = 0.5

Seen = dict[str, tuple[int, int]]


def look(repository: Repository) -> Seen:
    """Return size and time of each file that git does not ignore."""
    listed = repository.git("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    seen = {}
    for name in set(listed.split("\0")) - {""}:
        try:
            stat = (repository.top / name).stat()
        except OSError:  # deleted
            continue
        seen[name] = (stat.st_size, stat.st_mtime_ns)
    return seen


def wait_for_change(repository: Repository, before: Seen) -> list[str]:
    """Wait until files differ from what they were, and have stayed so for a moment; return their names."""
    last = look(repository)
    while True:
        time.sleep(LOOK_EVERY_S)
        now = look(repository)
        if now != before and now == last:
            return sorted(name for name in {*now, *before} if now.get(name) != before.get(name))
        last = now
