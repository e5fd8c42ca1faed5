"""Which reports are written where."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from pytest_deploycheck.report.badge import badge
from pytest_deploycheck.report.document import Report
from pytest_deploycheck.report.json_report import json_report
from pytest_deploycheck.report.markdown import summary
from pytest_deploycheck.report.page import page

OPTION = "--deploycheck-report"
FORMATS: Mapping[str, Callable[[Report], str]] = {
    "report.html": page,
    "summary.md": summary,
    "badge.svg": badge,
    "report.json": json_report,
}


def require_folder(folder: Path) -> None:
    """Find out early whether reports can be written into a folder, which is made later.

    Raises:
        pytest.UsageError: they cannot, in one line.
    """
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not there.is_dir():
        raise pytest.UsageError(f"{OPTION} {folder}: {there} is a file, no folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise pytest.UsageError(f"{OPTION} {folder}: nothing can be written into {there}")


def write_reports(folder: Path, report: Report) -> list[Path]:
    """Write all reports into ``folder``, which is made if missing; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text_of in FORMATS.items():
        (folder / name).write_text(text_of(report), encoding="utf-8")
    return [folder / name for name in FORMATS]
