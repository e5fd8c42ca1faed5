"""Where the reports of one run go: files of the user's choice, and the page of a CI job."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass, field
from pathlib import Path

from pytest_deploycheck.report import github
from pytest_deploycheck.report.baseline import Baseline, Changes, load_baseline
from pytest_deploycheck.report.document import Report
from pytest_deploycheck.report.files import require_folder, write_reports
from pytest_deploycheck.report.markdown import summary


@dataclass(kw_only=True)
class Delivery:
    """What was asked for, and afterwards what was delivered.

    Attributes:
        root: the project.
        folder: where reports are written; None for nowhere.
        baseline: the run to compare with, if there is one.
        job_page: the file whose Markdown is shown on the page of the CI job; None outside of CI.
        changes: what changed since the baseline.
        files: what was written.
        annotations: lines for GitHub Actions.
        problems: what could not be written, and why.
    """

    root: Path
    folder: Path | None
    baseline: Baseline | None
    job_page: Path | None
    changes: Changes | None = None
    files: list[Path] = field(default_factory=list)
    annotations: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    @classmethod
    def prepared(cls, options: argparse.Namespace, root: Path) -> Delivery:
        """Look at what was asked for, before anything runs.

        Raises:
            pytest.UsageError: the baseline cannot be read, or no report could be written.
        """
        folder = Path(options.deploycheck_report) if options.deploycheck_report else None
        if folder:
            require_folder(folder)
        baseline = load_baseline(options.deploycheck_baseline) if options.deploycheck_baseline else None
        page = os.environ.get("GITHUB_STEP_SUMMARY")
        return cls(root=root, folder=folder, baseline=baseline, job_page=Path(page) if page else None)

    def deliver(self, report: Report) -> None:
        """Write everything."""
        self.changes = report.changes
        if github.is_running():
            self.annotations = github.annotate(report, self.root)
        try:
            if self.folder:
                self.files = write_reports(self.folder, report)
            if self.job_page:
                with self.job_page.open("a", encoding="utf-8") as page:
                    page.write(summary(report))
        except OSError as error:
            self.problems.append(f"a report was not written: {error}")
