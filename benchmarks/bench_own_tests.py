"""Measure what `-n auto` saves: all checks and the project's own tests, with it and without, in turns.

Own tests take the given seconds more than those of the generated project; half of that they use the CPU.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "sabotage"))

from harness import bake, pytest_in  # noqa: E402

MOST = 1.05  # where own tests are short there is nothing to save
WAYS = ((), ("-n", "auto"))
LONG_TESTS = """
import time
import pytest

@pytest.mark.parametrize("n", range({count}))
def test_long(n):
    end = time.process_time() + 0.25
    while time.process_time() < end:
        pass
    time.sleep(0.25)
"""


def run_all(project: Path, *options: str) -> float:
    """Run all checks and own tests; return how long it took, in seconds."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    began = time.monotonic()
    subprocess.run(
        [*pytest_in(project), "-p", "no:cacheprovider", "--deploycheck", "-q", *options],
        cwd=project,
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    return time.monotonic() - began


def main() -> int:
    """Measure, and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, nargs="+", default=[0.0, 9.0, 15.0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    ratios = []
    with tempfile.TemporaryDirectory() as folder:
        project = bake(Path(folder))
        for seconds in options.seconds:
            text = LONG_TESTS.format(count=round(seconds * 2))
            (project / "tests/test_long.py").write_text(text, encoding="utf-8")
            run_all(project)  # compiles what is new
            turns = [[run_all(project, *way) for way in WAYS] for _ in range(options.rounds)]
            without, with_it = (statistics.median(took) for took in zip(*turns, strict=True))
            ratios.append(statistics.median(second / first for first, second in turns))
            print(
                f"{seconds:4.0f} s more of own tests: {without:5.1f} s, with -n auto {with_it:5.1f} s, {ratios[-1]:.2f}"
            )
    return 0 if max(ratios) <= MOST else 1


if __name__ == "__main__":
    sys.exit(main())
