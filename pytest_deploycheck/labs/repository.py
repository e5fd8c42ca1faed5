"""The learner's git repository. What is made is made beside the files, so nothing is half done at any moment."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pytest_deploycheck.commands.error import CommandError

# Commits of labs are nobody's work, and need no name that git might not know.
NOBODY = {
    f"GIT_{who}_{what}": value
    for who in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "deploycheck"), ("EMAIL", "deploycheck@localhost"))
}


@contextmanager
def undisturbed() -> Iterator[None]:
    """Let Ctrl-C wait until something is done as a whole.

    git inherits the mask. It holds for this thread only, and where there are others one of them takes the signal.
    """
    waiting: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: waiting.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, handler)
        if waiting:
            signal.raise_signal(signal.SIGINT)


class Repository:
    """The repository that a folder is in.

    Attributes:
        top: its uppermost folder.
    """

    def __init__(self, folder: Path) -> None:
        """Find it.

        Raises:
            CommandError: git is missing, there is no repository, or nothing is committed yet.
        """
        if shutil.which("git") is None:
            raise CommandError("labs need git, and it is not installed: apt-get install git")
        self.top = folder
        try:
            self.top = Path(self.git("rev-parse", "--show-toplevel").rstrip("\n"))
        except CommandError as error:
            raise CommandError(
                f"labs need a git repository, and {folder} is in none: git init && git add -A && git commit -m Begin "
                f"({error})"
            ) from None
        if self.commit_of("HEAD") is None:
            raise CommandError("nothing is committed here yet: git add -A && git commit -m Begin")

    def git(self, *arguments: str, text: str | None = None, environment: dict[str, str] | None = None) -> str:
        """Run git and return what it prints.

        Raises:
            CommandError: git refused.
        """
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        done = subprocess.run(
            ["git", "--no-optional-locks", *arguments],
            cwd=self.top,
            env={**inherited, **NOBODY, "LC_ALL": "C", **(environment or {})},
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            check=False,
        )
        if done.returncode:
            raise CommandError(f"git {arguments[0]}: {done.stderr.strip() or done.returncode}")
        return done.stdout

    @property
    def branch(self) -> str | None:
        """The branch that is checked out; None if HEAD is detached."""
        return self.git("branch", "--show-current").strip() or None

    def commit_of(self, revision: str) -> str | None:
        """Return the commit that a name stands for; None if there is none."""
        try:
            return self.git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}").strip()
        except CommandError:
            return None

    def changes(self) -> list[str]:
        """Return the files that differ from the last commit, new ones too."""
        lines = self.git("status", "--porcelain", "--untracked-files=all").splitlines()
        return [line[3:] for line in lines]

    def refuse_changes(self, wish: str) -> None:
        """Make sure that there is nothing that could be lost.

        Raises:
            CommandError: something is not committed.
        """
        if changes := self.changes():
            more = f" and {len(changes) - 1} more" if len(changes) > 1 else ""
            raise CommandError(
                f"{wish} needs a clean tree, and {changes[0]}{more} is not committed: "
                "git add -A && git commit, or git stash -u"
            )

    @contextmanager
    def _index(self) -> Iterator[dict[str, str]]:
        """Give git another index than the learner's for a while."""
        with tempfile.TemporaryDirectory(prefix="deploycheck-") as folder:
            yield {"GIT_INDEX_FILE": str(Path(folder, "index"))}

    def patched(
        self, commit: str, patch: str, message: str, *, parent: str | None = None, below: Path = Path()
    ) -> str:
        """Make a commit with the files of ``commit`` and a patch on them; no file and no branch is touched.

        Args:
            commit: what the patch fits on.
            patch: paths in it begin with ``a/`` and ``b/``.
            message: of the new commit.
            parent: the new commit's parent, if that is not ``commit``.
            below: the folder that paths in the patch begin at.

        Raises:
            CommandError: the patch does not fit.
        """
        with self._index() as index:
            self.git("read-tree", commit, environment=index)
            options = ["--cached", "--recount", "--unidiff-zero", "--whitespace=nowarn"]
            if below != Path():  # git refuses paths such as ./deploy/start
                options.append(f"--directory={below}")
            self.git("apply", *options, "-", text=patch, environment=index)
            tree = self.git("write-tree", environment=index).strip()
        return self.git("commit-tree", tree, "-p", parent or commit, "-m", message).strip()

    def save(self, message: str) -> bool:
        """Commit all changes to the branch that is checked out; return whether there were any."""
        if not self.changes():
            return False
        self.git("add", "--all")
        self.git("-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify", "-m", message)
        return True

    def difference(self, commit: str, *, colour: bool) -> str:
        """Return what the files, new ones too, have changed since a commit."""
        with self._index() as index:
            self.git("read-tree", "HEAD", environment=index)
            self.git("add", "--all", environment=index)
            colours = f"--color={'always' if colour else 'never'}"
            return self.git("diff", "--cached", colours, "--no-ext-diff", commit, environment=index)
