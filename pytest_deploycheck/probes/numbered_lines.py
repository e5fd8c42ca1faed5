"""Numbered lines that the app logs, and where they turn up on the disk."""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pytest_deploycheck.probes.inside.deploycheck_mark import MARK
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.stacks.protocol import Stack

ARRIVAL_DEADLINE_S = 10.0


@dataclass
class NumberedLines:
    """Lines that one worker after the other is asked to log, as its own code would, numbered from 0.

    Attributes:
        written: how many there are up to now.
    """

    stack: Stack
    written: int = 0
    token: str = field(default_factory=lambda: f"deploycheck-{secrets.token_hex(6)}")
    since: float = field(default_factory=time.time)
    _seen: dict[Path, tuple[int, int]] = field(default_factory=dict)
    _rotated: set[Path] = field(default_factory=set)

    def write(self, count: int, *, size: int) -> None:
        """Let the app log ``count`` more lines of ``size`` bytes."""
        query = f"token={self.token}&first={self.written}&count={count}&size={size}"
        self.stack.entry.get(f"{MARK}log?{query}", timeout_s=60).raise_for_status()
        self.written += count

    def found(self) -> dict[Path, set[int]]:
        """Return which lines are in which of the deployment's files, once the last one is there or is given up."""
        return wait_for(self._look, self._all_there, deadline_s=ARRIVAL_DEADLINE_S)

    def rotated(self, logs: Iterable[Path]) -> bool:
        """Tell whether each of the files that the first lines went to was begun anew, since this was asked last."""
        for file in logs:
            info = file.stat() if file.exists() else None
            inode, size = (info.st_ino, info.st_size) if info else (0, 0)
            old_inode, old_size = self._seen.get(file, (inode, 0))
            if inode != old_inode or size < old_size:
                self._rotated.add(file)
            self._seen[file] = (inode, size)
        return self._rotated.issuperset(logs)

    def _all_there(self, seen: dict[Path, set[int]]) -> bool:
        last, found = self.written - 1, set[int]().union(*seen.values())
        is_for_files = found or self.stack.log_keeper
        return last in (found if is_for_files else self._printed())

    def _printed(self) -> set[int]:
        return self._numbers(self.stack.copy.log_file)

    def printed(self) -> bool:
        """Tell whether the lines are in what the start command printed, which is no file of the deployment's."""
        return bool(self._printed())

    def _look(self) -> dict[Path, set[int]]:
        seen = {file: self._numbers(file) for file in files_written(self.stack, since=self.since)}
        return {file: numbers for file, numbers in seen.items() if numbers}

    def _numbers(self, file: Path) -> set[int]:
        try:
            content = file.read_bytes()
        except OSError:
            return set()
        return {int(number) for number in re.findall(rb"%s (\d+) " % self.token.encode(), content)}


def files_written(stack: Stack, *, since: float) -> Iterator[Path]:
    """Yield the regular files of the deployment that were written to since then (``time.time()``)."""
    ours = {stack.copy.log_file, stack.copy.events.file}
    for root in stack.folders:
        for folder, _, names in os.walk(root):
            for path in (Path(folder, name) for name in names):
                try:
                    info = path.lstat()
                except OSError:
                    continue
                # Clocks of files are a little behind.
                if stat.S_ISREG(info.st_mode) and info.st_mtime >= since - 1 and path not in ours:
                    yield path
