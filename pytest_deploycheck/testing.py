"""Sabotage: break a copy of a project on purpose, and see which checks say so.

A check that was never seen to fail may be unable to. With these a project's own tests show that they can.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pytest_deploycheck.arguments import anchor_of
from pytest_deploycheck.reader import load
from pytest_deploycheck.sandbox.project_copy import copy_project

RUN_TIMEOUT_S = 600
QUIETLY = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:hypothesispytest", "--deploycheck")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One replacement in one file of a project.

    Attributes:
        file: its path in the project.
        old: what must be there exactly once; None makes a new file with the text ``new``.
        new: what stands there afterwards.
    """

    file: str
    old: str | None
    new: str

    def apply(self, project: Path) -> None:
        """Change the file.

        Raises:
            AssertionError: ``old`` is not there exactly once, so the sabotage no longer fits the project.
        """
        path = project / self.file
        if self.old is None:
            path.write_text(self.new, encoding="utf-8")
            return
        text = path.read_text(encoding="utf-8")
        assert text.count(self.old) == 1, f"{self.file} holds {text.count(self.old)} times: {self.old!r}"
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")


def copy_of(project: Path, target: Path) -> Path:
    """Copy a project, to be broken; what git ignores is left out, and the virtual environment is the same one.

    Args:
        project: the folder of its ``pyproject.toml``.
        target: the new folder.

    Raises:
        ConfigError: ``[tool.deploycheck]`` is wrong.
    """
    copy_project(project.resolve(), target, also=load(project.resolve()).unversioned_files)
    return target


@dataclass(frozen=True)
class Verdict:
    """What the plugin said.

    Attributes:
        statuses: the outcome of each check by its ID, as in ``report.json``.
        details: the failure message or the reason of each.
        output: all that pytest printed.
        exit_status: pytest's.
    """

    statuses: dict[str, str]
    details: dict[str, str]
    output: str
    exit_status: int

    def ids(self, status: str) -> frozenset[str]:
        """Return the IDs of the checks with a status."""
        return frozenset(check_id for check_id, found in self.statuses.items() if found == status)

    @property
    def caught(self) -> frozenset[str]:
        """The IDs of the checks that failed, or warned."""
        return self.ids("failed") | self.ids("warned")

    def explain(self) -> str:
        """Return what failed and why, and apart from it what was blocked, for a test's message."""
        failed = [self.details[check_id] for check_id in sorted(self.caught)] or [self.output[-4000:]]
        return "\n\n".join([*failed, f"blocked: {', '.join(sorted(self.ids('blocked'))) or 'none'}"])


def pytest_in(project: Path) -> list[str]:
    """Return the command line of pytest in a project's environment."""
    return [str(project / ".venv/bin/python"), "-m", "pytest"]


def run_deploycheck(
    project: Path, *arguments: str, cpus: int | None = None, started_by: Sequence[str] = ()
) -> Verdict:
    """Run ``pytest --deploycheck`` in a project, without the project's own tests.

    Args:
        project: a copy that may be broken, with a ``.venv``.
        arguments: more arguments for pytest, such as ``--deploycheck-select=restarts``: a whole run takes a minute.
        cpus: how many CPUs it may use; None for all.
        started_by: the beginning of its command line, for example ``["nice"]``.

    Raises:
        subprocess.TimeoutExpired: it did not end in ten minutes.
    """
    usable = sorted(os.sched_getaffinity(0))[:cpus]
    report = project / "deploycheck-report"
    done = subprocess.run(
        [
            *started_by,
            *pytest_in(project),
            *QUIETLY,
            f"--deploycheck-report={report}",
            *arguments,
            anchor_of(project).name,
        ],
        cwd=project,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        | {"PYTEST_XDIST_WORKER": os.environ.get("PYTEST_XDIST_WORKER", "gw0")},
        preexec_fn=lambda: os.sched_setaffinity(0, usable),  # a child keeps it
        capture_output=True,
        text=True,
        timeout=RUN_TIMEOUT_S,
        check=False,
    )
    file = report / "report.json"
    checks = json.loads(file.read_text(encoding="utf-8"))["checks"] if file.exists() else []
    return Verdict(
        statuses={item["id"]: item["status"] for item in checks},
        details={item["id"]: item["detail"] for item in checks},
        output=done.stdout + done.stderr,
        exit_status=done.returncode,
    )
