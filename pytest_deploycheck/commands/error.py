"""What a command says when it cannot do what it was asked for."""

from __future__ import annotations


class CommandError(Exception):
    """A request that was refused. The message is one line that says what is in the way, and what to do."""

    def __init__(self, message: str) -> None:
        """Other programs' words in the message may hold line ends."""
        super().__init__(" ".join(message.split()))
