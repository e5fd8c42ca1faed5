"""The command line of HAProxy, and what HAProxy itself says of its files.

https://docs.haproxy.org/2.6/management.html#3
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_deploycheck.proxies.command import split_after
from pytest_deploycheck.proxies.haproxy_addresses import inside
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.sandbox.tools import SYSTEM_PATH
from pytest_deploycheck.stacks.protocol import StackError

NAME = "haproxy"
_USUAL = "haproxy -W -db -f FILE"
_WITH_VALUE = {"-C", "-L", "-N", "-S", "-f", "-m", "-n", "-p", "-x"}
_WRITTEN = {"-S", "-p", "-x"}
_MISTAKE = re.compile(r"\[ALERT\].*?\[(?P<file>[^]:]+):(?P<line>\d+)\]\s*:\s*(?P<error>.*)")
_CHECK_TIMEOUT_S = 20


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that runs HAProxy.

    Attributes:
        words: ``haproxy``, and what stands before it, such as ``nice``.
        options: all options with their values.
    """

    words: list[str]
    options: list[tuple[str, str]]

    @classmethod
    def parse(cls, command: str) -> Command:
        """Read a command line.

        Raises:
            StackError: it does not run HAProxy, or names no file.
        """
        program, rest = split_after(NAME, command, usual=_USUAL)
        options: list[tuple[str, str]] = []
        words = iter(rest)
        for word in words:
            if word == "--":
                options += [("-f", file) for file in words]
            else:
                options.append((word, next(words, "") if word in _WITH_VALUE else ""))
        if not any(option == "-f" for option, _ in options):
            raise StackError(f"the proxy's command must be {_USUAL}, not {command!r}")
        return cls(words=program, options=options)

    @property
    def files(self) -> list[str]:
        """The configuration's files."""
        return [value for option, value in self.options if option == "-f"]

    def moved(self, files: Mapping[Path, Path], copy: ProjectCopy) -> str:
        """Return the command line in the sandbox.

        Args:
            files: where each of the files is now.
            copy: the project's copy.
        """
        words = list(self.words)
        for option, value in self.options:
            words.append(option)
            if option == "-f":
                words.append(str(files[copy.root / value]))
            elif option in _WRITTEN:
                words.append(_moved(value, copy))
            elif value:
                words.append(value)
        return shlex.join(words)

    def check(self, files: Mapping[Path, Path], copy: ProjectCopy, values: Mapping[str, str]) -> None:
        """Let HAProxy read the files.

        Raises:
            StackError: it finds a mistake; the message names file and line.
        """
        named = [word for path in files.values() for word in ("-f", str(path))]
        try:
            done = subprocess.run(
                copy.argv(shlex.join([self.words[-1], "-c", *named])),
                cwd=copy.root,
                env={**copy.environment(values), "PATH": f"{copy.root / '.venv/bin'}:{SYSTEM_PATH}"},
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_CHECK_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise StackError(f"`haproxy -c` did not end within {_CHECK_TIMEOUT_S} s") from None
        if done.returncode == 0:
            return
        alerts = [line for line in done.stderr.splitlines() if "[ALERT]" in line]
        original = {str(target): name_of(path, copy) for path, target in files.items()}
        for match in filter(None, map(_MISTAKE.search, alerts)):
            file = original.get(match["file"], match["file"])
            raise StackError(f"{file}:{match['line']}: {match['error']}")
        said = alerts[0].partition(" : ")[2] if alerts else f"`haproxy -c` ended with {done.returncode}"
        raise StackError(f"{', '.join(original.values())}: {said}")


def _moved(value: str, copy: ProjectCopy) -> str:
    """Return where HAProxy writes its process ID, or opens a socket, in the sandbox."""
    address, comma, rest = value.partition(",")
    path = address.removeprefix("unix@")
    if ":" in path or "@" in path:  # a port of this machine
        return f"unix@{copy.root.with_suffix('.master')}"
    return f"{'unix@' if path != address else ''}{inside(path, copy)}{comma}{rest}"


def name_of(path: Path, copy: ProjectCopy) -> str:
    """Return how people call a file: from the project's folder, where it is in it."""
    return str(path.relative_to(copy.root) if path.is_relative_to(copy.root) else path)
