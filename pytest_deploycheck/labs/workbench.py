"""Where a lab is worked on: a branch of its own, ``lab/NAME``, from which the way back is always known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pytest_deploycheck.commands.error import CommandError
from pytest_deploycheck.labs import project as projects
from pytest_deploycheck.labs.lab import Lab, find
from pytest_deploycheck.labs.progress import Attempt, Progress
from pytest_deploycheck.labs.project import Project
from pytest_deploycheck.labs.repository import Repository, undisturbed

BRANCHES = "lab/"
KEPT = "lab-attempts/"


@dataclass(frozen=True, kw_only=True)
class Current:
    """The lab whose branch is checked out."""

    lab: Lab
    attempt: Attempt


class Workbench:
    """A project, its repository, and what was done so far."""

    def __init__(self, folder: Path) -> None:
        """Find repository and progress.

        Raises:
            CommandError: there is no repository.
        """
        self.folder = folder
        self.repository = Repository(folder)
        self.progress = Progress(self.repository)

    @cached_property
    def project(self) -> Project:
        """The project, which a learner may have broken further: only what needs it asks for it.

        Raises:
            CommandError: there is none.
            ConfigError: its settings are wrong.
        """
        return projects.find(self.folder)

    @property
    def current(self) -> Current | None:
        """The lab that is being worked on, if any."""
        name = (self.repository.branch or "").removeprefix(BRANCHES)
        attempt = self.progress.attempts.get(name)
        is_lab = attempt and self.repository.branch == BRANCHES + name
        return Current(lab=find(name), attempt=attempt) if attempt and is_lab else None

    def require_current(self) -> Current:
        """Return the lab that is being worked on.

        Raises:
            CommandError: there is none.
        """
        if current := self.current:
            return current
        raise CommandError(
            f"no lab is open: {self.repository.branch or 'a detached HEAD'} is checked out. "
            "Begin with: deploycheck lab list"
        )

    def why_not(self, lab: Lab) -> str:
        """Say why a lab does not fit this project; nothing if it does."""
        missing = lab.missing(self.project.answers)
        if not missing:
            return ""
        wanted = " and ".join(f"{question} = {' or '.join(answers)}" for question, answers in missing.items())
        has = ", ".join(self.project.answers.get(question, "none known") for question in missing)
        return f"it needs a project with {wanted}, and this one has {has}"

    @undisturbed()
    def start(self, lab: Lab) -> bool:
        """Check out the broken project; return False if that goes on with an earlier attempt.

        Raises:
            CommandError: something would be lost, or the lab does not fit.
        """
        if current := self.current:
            raise CommandError(f"the lab {current.lab.name} is open: deploycheck lab leave comes first")
        if reason := self.why_not(lab):
            raise CommandError(f"the lab {lab.name} does not fit: {reason}. See: deploycheck lab list")
        origin = self.repository.branch
        if origin is None:
            raise CommandError("no branch is checked out, so there would be no way back: git switch BRANCH")
        self.repository.refuse_changes("a lab")
        branch = BRANCHES + lab.name
        earlier = self.progress.attempts.get(lab.name)
        if self.repository.commit_of(f"refs/heads/{branch}"):
            if earlier is None:
                raise CommandError(
                    f"the branch {branch} is there, and no lab of yours: git branch -m {branch} ANOTHER-NAME"
                )
            earlier.origin = origin
            self.progress.save()
            self.repository.git("switch", "--quiet", branch)
            return False
        start = self._patched(lab, "break", "HEAD", f"Lab {lab.name}")
        # Apart from the switch: with --create, one that cannot make the branch has changed the files already.
        self.repository.git("branch", branch, start)
        solved = earlier.solved if earlier else None
        self.progress.attempts[lab.name] = Attempt(origin=origin, start=start, solved=solved)
        self.progress.save()
        self.repository.git("switch", "--quiet", branch)
        return True

    @undisturbed()
    def leave(self) -> tuple[str, bool]:
        """Go back to where the learner came from; return that branch, and whether there was something to save.

        Raises:
            CommandError: no lab is open, or that branch is gone.
        """
        current = self.require_current()
        origin = current.attempt.origin
        if self.repository.commit_of(f"refs/heads/{origin}") is None:
            raise CommandError(
                f"the branch {origin}, which you came from, is gone: git switch ANOTHER-BRANCH"
            )
        saved = self.repository.save(f"Attempt at {current.lab.name}")
        self.repository.git("switch", "--quiet", origin)
        return origin, saved

    @undisturbed()
    def reset(self) -> tuple[str, str | None]:
        """Leave, and let the next start begin anew; return the branch, and where the attempt is kept, if there was one.

        Raises:
            CommandError: no lab is open, or the branch that the learner came from is gone.
        """
        current = self.require_current()
        origin, _ = self.leave()
        branch = BRANCHES + current.lab.name
        if self.repository.commit_of(branch) == current.attempt.start:
            self.repository.git("branch", "--quiet", "-D", branch)
            return origin, None
        kept = self._free_name(current.lab)
        self.repository.git("branch", "--move", branch, kept)
        return origin, kept

    def _free_name(self, lab: Lab) -> str:
        number = 1
        while self.repository.commit_of(f"refs/heads/{KEPT}{lab.name}-{number}"):
            number += 1
        return f"{KEPT}{lab.name}-{number}"

    @undisturbed()
    def solve(self) -> bool:
        """Put the solution in the place of the learner's changes; return whether there were some, which are saved.

        Raises:
            CommandError: no lab is open.
        """
        current = self.require_current()
        saved = self.repository.save(f"Attempt at {current.lab.name}")
        head = self.repository.commit_of("HEAD")
        message = f"Solution of {current.lab.name}"
        solution = self._patched(current.lab, "fix", current.attempt.start, message, head)
        current.attempt.solution_shown = True
        self.progress.save()
        self.repository.git("merge", "--quiet", "--ff-only", solution)
        return saved

    def _patched(self, lab: Lab, name: str, commit: str, message: str, parent: str | None = None) -> str:
        patch = lab.patches(self.project)[name]
        below = self.project.root.relative_to(self.repository.top)
        try:
            return self.repository.patched(commit, patch, message, parent=parent, below=below)
        except CommandError as error:
            raise CommandError(
                f"the lab {lab.name} does not fit: it changes lines that the template once wrote, and this project "
                f"has others ({error})"
            ) from None

    def difference(self, *, colour: bool) -> str:
        """Return what the learner has changed.

        Raises:
            CommandError: no lab is open.
        """
        return self.repository.difference(self.require_current().attempt.start, colour=colour)
