"""A lab is a folder of data: ``lab.toml``, ``break.patch``, ``fix.patch``, and ``false_fix_*.patch``.

Where a fault looks different with, say, each proxy, the patches are in folders named by these answers.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pytest_deploycheck.check import Concept
from pytest_deploycheck.commands.error import CommandError
from pytest_deploycheck.labs.project import Project

FOLDER = Path(__file__).parent
SLUG = "@slug@"  # in patches, in the place of the project's package


@dataclass(frozen=True, kw_only=True)
class Lab:
    """One lab.

    Attributes:
        folder: where its files are; its name is the lab's.
        title: as a story has one.
        concept: what it teaches.
        page: the page of the course that leads to it; the chapter of its concept if it is empty.
        minutes: how long it takes somebody who has read the chapter.
        core: whether it is on the course's core path; the others are further practice.
        needs: the template's questions, and for each the answers with one of which the fault can be had.
        red: the IDs of the checks that fail until it is mended.
        also: further checks that ``check`` runs, which a false fix breaks.
        symptom: what a colleague would tell.
        says: for each ID what its red means in this story.
        hints: four, ever more direct; only the last one gives the fix away.
        false_fixes: for each ``false_fix_NAME.patch`` why it does not help.
        victory: what happened, and why the fix is one.
    """

    folder: Path
    title: str
    concept: Concept
    minutes: int
    needs: Mapping[str, Sequence[str]]
    red: tuple[str, ...]
    also: tuple[str, ...]
    symptom: str
    says: Mapping[str, str]
    hints: tuple[str, ...]
    false_fixes: Mapping[str, str]
    victory: str
    page: str = ""
    core: bool = False

    @property
    def name(self) -> str:
        """How it is called on the command line."""
        return self.folder.name

    @property
    def chapter(self) -> str:
        """The page of the course that leads to it."""
        return self.page or self.concept.slug

    @property
    def checks(self) -> tuple[str, ...]:
        """The IDs of the checks that ``check`` runs."""
        return (*self.red, *self.also)

    @property
    def variants(self) -> tuple[str, ...]:
        """The answers for which there are patches of their own; none where the same ones fit all."""
        return tuple(sorted(file.parent.name for file in self.folder.glob("*/break.patch")))

    def patches(self, project: Project) -> dict[str, str]:
        """Return ``break``, ``fix`` and the false fixes for a project, by name."""
        answers = set(project.answers.values())
        folder = next((self.folder / name for name in self.variants if name in answers), self.folder)
        return {
            file.stem: file.read_text(encoding="utf-8").replace(SLUG, project.slug)
            for file in sorted(folder.glob("*.patch"))
        }

    def false_fixes_for(self, project: Project) -> dict[str, str]:
        """Return the names of a project's false fixes, and why they do not help."""
        found = self.patches(project)
        return {name: why for name, why in self.false_fixes.items() if f"false_fix_{name}" in found}

    def missing(self, answers: Mapping[str, str]) -> dict[str, Sequence[str]]:
        """Return the needs that a project with these answers does not meet."""
        return {
            question: wanted for question, wanted in self.needs.items() if answers.get(question) not in wanted
        }


def read(folder: Path) -> Lab:
    """Read a lab.

    Raises:
        KeyError, TypeError: the file has not the keys that ``Lab`` has.
    """
    data = tomllib.loads((folder / "lab.toml").read_text(encoding="utf-8"))
    concept = Concept[data.pop("concept").upper()]
    red, also, hints = (tuple(data.pop(key, ())) for key in ("red", "also", "hints"))
    texts = {key: data.pop(key).strip() for key in ("symptom", "victory")}
    return Lab(
        folder=folder,
        concept=concept,
        red=red,
        also=also,
        hints=tuple(hint.strip() for hint in hints),
        **texts,
        **{"needs": {}, "false_fixes": {}, **data},
    )


@cache
def all_labs() -> tuple[Lab, ...]:
    """Return all labs, by concept; short ones first."""
    labs = [read(file.parent) for file in FOLDER.glob("*/lab.toml")]
    order = list(Concept)
    return tuple(sorted(labs, key=lambda lab: (order.index(lab.concept), lab.minutes, lab.name)))


def find(name: str) -> Lab:
    """Return the lab of a name.

    Raises:
        CommandError: there is none.
    """
    labs = {lab.name: lab for lab in all_labs()}
    if name in labs:
        return labs[name]
    close = difflib.get_close_matches(name, labs, n=1, cutoff=0.4)
    meant = f", did you mean {close[0]}?" if close else "."
    raise CommandError(f"there is no lab {name!r}{meant} See: deploycheck lab list")
