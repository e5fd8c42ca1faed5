"""A terminal in which a command is started, and which is closed like that of a user who logs out."""

from __future__ import annotations

import os
import pty
import select
import threading
from pathlib import Path

from pytest_deploycheck.outcome import NotVerified

# A session's leader that has no terminal yet gets the first one that it opens as its controlling terminal. As a login
# shell does, this one stays there after a command that goes to the background.
OPEN_AND_RUN = 'exec <"$0" >"$0" 2>&1; "$@" || exit; read -r _'
PATIENCE_S = 5.0


class Terminal:
    """A pseudo-terminal; what is printed in it is appended to a file, as long as it is open."""

    def __init__(self, log_file: Path) -> None:
        """Open it.

        Raises:
            NotVerified: the machine has none to give.
        """
        try:
            self._master, self._slave = pty.openpty()
        except OSError as error:
            raise NotVerified(f"no pseudo-terminal can be opened here ({error}): mount /dev/pts") from None
        self.name = os.ttyname(self._slave)
        self._closing = threading.Event()
        self._reader = threading.Thread(target=self._read, args=(log_file,), daemon=True)
        self._reader.start()

    def command(self, argv: list[str]) -> list[str]:
        """Return the command line that runs ``argv`` in this terminal, if it is started as a session's leader."""
        return ["/bin/sh", "-c", OPEN_AND_RUN, self.name, *argv]

    def close(self) -> None:
        """Close it: the kernel sends SIGHUP to the leader of the session, and then to what runs in the foreground."""
        self._closing.set()
        self._reader.join(PATIENCE_S)

    def _read(self, log_file: Path) -> None:
        """Read what is printed. The same thread closes: a descriptor that another one reads from stays open."""
        with log_file.open("ab", buffering=0) as log:
            while not self._closing.is_set():
                if select.select([self._master], [], [], 0.05)[0]:
                    log.write(os.read(self._master, 65536).replace(b"\r\n", b"\n"))
        os.close(self._slave)
        os.close(self._master)
