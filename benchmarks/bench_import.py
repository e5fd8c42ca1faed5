"""Measure what the plugin costs each `pytest` run without the flag: its import, net of pytest's own."""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys

TARGET_MS = 10.0
# `import time: self [us] | cumulative | name`; a name that is not indented was imported by the program.
LINE = re.compile(
    r"^import time:\s*\d+ \|\s*(?P<cumulative>\d+) \| (?P<name>pytest_deploycheck\S*)$", re.MULTILINE
)


def import_ms() -> float:
    """Return the time of one fresh import, everything that it pulls in included."""
    code = "import pytest; import pytest_deploycheck.plugin"
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True
    )
    return sum(int(line["cumulative"]) for line in LINE.finditer(done.stderr)) / 1000


def main() -> int:
    """Import several times and compare with the target."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    times = [import_ms() for _ in range(parser.parse_args().repeats)]
    median = statistics.median(times)
    print(
        f"import {median:.2f} ms  (from {min(times):.2f} to {max(times):.2f};"
        f" target: at most {TARGET_MS:.0f})"
    )
    return 0 if median <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
