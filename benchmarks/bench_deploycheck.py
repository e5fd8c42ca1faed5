"""Measure `pytest --deploycheck` in a generated, installed project: `bench_deploycheck.py PROJECT`.

A cold start is one of the stack alone, from the start command to the first answer, with no bytecode of Python that an
earlier one has left; it is the median of three, between which a quick machine differs by a fifth. The report itself
says where the time of a run went.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

TARGET_S = 25.0
TARGET_COLD_STARTS = 10.0
COLD_STARTS = 3


def forget_bytecode(project: Path) -> None:
    """Remove what Python has compiled, also of the libraries; it compiles it again."""
    for cache in project.rglob("__pycache__"):
        shutil.rmtree(cache)


def run_checks(project: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """Run the checks and return the exit code and the report."""
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [
            project / ".venv" / "bin" / "python",
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
        ]
        command += ["--deploycheck", "-q", f"--deploycheck-report={folder}", *options]
        # A file without tests in the place of the project's own ones: only the checks run.
        command += [f"--rootdir={project}", "pyproject.toml"]
        code = subprocess.run(command, cwd=project, check=False, stdin=subprocess.DEVNULL).returncode
        return code, json.loads((Path(folder) / "report.json").read_text(encoding="utf-8"))


def cold_start(project: Path) -> float:
    """Return how long a start takes with nothing compiled, in seconds."""
    forget_bytecode(project)
    _, report = run_checks(project, "--deploycheck-select=BOOT002")
    took_s: float = report["timings"]["cold_start_s"]
    return took_s


def main() -> int:
    """Measure, and list where the time goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "project", type=Path, help="a generated project with its .venv, e.g. build/demo/notes_api"
    )
    parser.add_argument("--top", type=int, default=12)
    options = parser.parse_args()
    project: Path = options.project.resolve()
    code, report = run_checks(project)
    whole_s, cold_s = report["duration_s"], statistics.median(cold_start(project) for _ in range(COLD_STARTS))
    print(f"\none cold start  {cold_s:5.1f} s")
    print(
        f"the whole run   {whole_s:5.1f} s  (targets: {TARGET_S:.0f} s and {TARGET_COLD_STARTS:.0f} cold starts)"
    )
    print(f"                {whole_s / cold_s:5.1f} cold starts")
    for check in sorted(report["checks"], key=lambda check: -check["duration_s"])[: options.top]:
        print(f"  {check['id']:8} {check['duration_s']:5.1f} s  {check['status']}")
    if code:
        print(f"the run ended with exit code {code}: its time says little")
    return 0 if code == 0 and whole_s <= min(TARGET_S, TARGET_COLD_STARTS * cold_s) else 1


if __name__ == "__main__":
    sys.exit(main())
