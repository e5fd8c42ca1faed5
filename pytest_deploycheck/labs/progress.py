"""What a learner has done so far. It stands in the repository's ``.git`` folder, so it is never committed."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from pytest_deploycheck.commands.error import CommandError
from pytest_deploycheck.labs.repository import Repository

FILE = "deploycheck/labs.json"


@dataclass(kw_only=True)
class Attempt:
    """A lab that was begun.

    Attributes:
        origin: the branch that the learner came from.
        start: the commit with the broken project.
        hints: how many were shown.
        checks: how often it was checked.
        solution_shown: whether ``solve`` was asked for.
        solved: when all its checks were green for the first time, in UTC.
    """

    origin: str
    start: str
    hints: int = 0
    checks: int = 0
    solution_shown: bool = False
    solved: str | None = None


def now() -> str:
    """Return the time of now, in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


class Progress:
    """All attempts, by the name of the lab."""

    def __init__(self, repository: Repository) -> None:
        """Read them.

        Raises:
            CommandError: the file is damaged.
        """
        self.attempts: dict[str, Attempt] = {}
        common = repository.git("rev-parse", "--path-format=absolute", "--git-common-dir").rstrip("\n")
        self.file = Path(common, FILE)
        self.read()

    def read(self) -> None:
        """Read them again: in another terminal the learner may have asked for a hint.

        Raises:
            CommandError: the file is damaged.
        """
        try:
            text = self.file.read_text(encoding="utf-8")
            self.attempts = {name: Attempt(**values) for name, values in json.loads(text).items()}
        except FileNotFoundError:
            self.attempts = {}
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise CommandError(
                f"{self.file} is damaged ({error}): move it away, and begin the labs anew"
            ) from None

    def save(self) -> None:
        """Write them: all or nothing."""
        text = json.dumps({name: asdict(attempt) for name, attempt in self.attempts.items()}, indent=2)
        self.file.parent.mkdir(exist_ok=True)
        new = self.file.with_suffix(".new")
        new.write_text(text + "\n", encoding="utf-8")
        new.replace(self.file)
