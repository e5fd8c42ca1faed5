"""Measure `pytest --deploycheck` in a generated, installed project: `bench_deploycheck.py PROJECT`.

One cold start is measured beside it, as a run of a single check: whatever the whole run takes beyond that is
experiments. The report's own durations say which.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGET_S = 25.0
CHEAP_CHECK = "TLS001"


def run_s(project: Path, *arguments: str) -> tuple[float, int]:
    """Return the wall time and the exit code of pytest in the project."""
    python = project / ".venv" / "bin" / "python"
    start = time.perf_counter()
    done = subprocess.run(
        [str(python), "-m", "pytest", "-p", "no:cacheprovider", "--deploycheck", *arguments],
        cwd=project,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    return time.perf_counter() - start, done.returncode


def main() -> int:
    """Measure, and list where the time goes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "project", type=Path, help="a generated project with its .venv, e.g. build/demo/notes_api"
    )
    parser.add_argument("--top", type=int, default=12)
    options = parser.parse_args()
    project: Path = options.project.resolve()
    with tempfile.TemporaryDirectory() as folder:
        cold_s, _ = run_s(project, "-q", "--deploycheck-select", CHEAP_CHECK, "--ignore=tests")
        whole_s, code = run_s(project, f"--durations={options.top}", f"--deploycheck-report={folder}")
        report = json.loads((Path(folder) / "report.json").read_text(encoding="utf-8"))
    slowest = sorted(report["checks"], key=lambda check: -check["duration_s"])[: options.top]
    print(f"\none cold start ({CHEAP_CHECK} alone)  {cold_s:5.1f} s")
    print(f"the whole run                   {whole_s:5.1f} s  (target: at most {TARGET_S:.0f})")
    for check in slowest:
        print(f"  {check['id']:8} {check['duration_s']:5.1f} s  {check['status']}")
    if code:
        print(f"the run ended with exit code {code}: its time says little")
    return 0 if code == 0 and whole_s <= TARGET_S else 1


if __name__ == "__main__":
    sys.exit(main())
