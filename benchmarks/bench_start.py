"""Start the previous steps many times at once, on a PostgreSQL database that is at head already.

Whoever has nothing to do must wait for nobody. All starters share this machine's CPUs, so each count of them is
compared with as many that import the same and then do nothing. A project that takes its lock at head too is measured
beside it.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from deployments import generate

from pytest_deploycheck.databases import find
from pytest_deploycheck.reader import load
from pytest_deploycheck.sandbox.run import ProjectCopy
from pytest_deploycheck.workshop import Workshop

STARTERS = (1, 4, 16)
TARGET_GROWTH = 1.25
STEPS, NOTHING = "deploy/previous-steps", "deploy/nothing"
FIRST_ACT = "main(argv="
AT_HEAD = "    if not is_at_head(connection):\n        lock(connection)\n"
Kind = tuple[ProjectCopy, str]


def prepare(copy: ProjectCopy, *, always_lock: bool) -> None:
    """Add a command that only imports; if wished, let the project take its lock at head too."""
    text = (copy.root / STEPS).read_text(encoding="utf-8")
    (copy.root / NOTHING).write_text(text.partition(FIRST_ACT)[0] + "'\n", encoding="utf-8")
    shutil.copymode(copy.root / STEPS, copy.root / NOTHING)
    env = copy.root / "migrations/env.py"
    source = env.read_text(encoding="utf-8")
    assert AT_HEAD in source
    if always_lock:
        env.write_text(source.replace(AT_HEAD, "    lock(connection)\n"), encoding="utf-8")


def measure(workshop: Workshop, *, rounds: int) -> dict[str, dict[int, float]]:
    """Return the median of how long one starter takes, for each kind and each number of starters, in seconds."""
    kinds: dict[str, Kind] = {}
    for name in ("at head", "with a lock"):
        copy = workshop.run.copy()
        prepare(copy, always_lock=name == "with a lock")
        find(workshop.config).relocate(copy)
        kinds[name] = (copy, STEPS)
        kinds.setdefault("imports only", (copy, NOTHING))
        first = copy.call(STEPS)
        assert first.status == 0, first.output

    def start(kind: Kind) -> float:
        began = time.monotonic()
        done = kind[0].call(kind[1])
        assert done.status == 0, done.output
        return time.monotonic() - began

    taken: dict[str, dict[int, list[float]]] = {name: {count: [] for count in STARTERS} for name in kinds}
    most = max(STARTERS)
    for _ in range(rounds):
        for count in STARTERS:
            for _turn in range(most // count):  # so that each median is one of as many starts
                for name, kind in kinds.items():
                    with ThreadPoolExecutor(count) as pool:
                        taken[name][count] += pool.map(start, [kind] * count)
    return {
        name: {count: statistics.median(times) for count, times in of_kind.items()}
        for name, of_kind in taken.items()
    }


def main() -> int:
    """Print a row for each number of starters; the target is one for the growth of the ratio."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=2, help="of 16 starts for each figure")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        project = generate(Path(folder), app_server="gunicorn", database="postgresql")
        with closing(Workshop(load(project))) as workshop:
            taken = measure(workshop, rounds=options.rounds)
    print(
        "| Starters | imports only | at head | ratio | with a lock at head too | ratio |\n|---|---|---|---|---|---|"
    )
    ratios = {}
    for count in STARTERS:
        nothing, plain, locked = (taken[name][count] for name in ("imports only", "at head", "with a lock"))
        ratios[count] = plain / nothing
        print(
            f"| {count} | {nothing:.2f} s | {plain:.2f} s | {ratios[count]:.2f} "
            f"| {locked:.2f} s | {locked / nothing:.2f} |"
        )
    growth = ratios[STARTERS[-1]] / ratios[STARTERS[0]]
    print(f"the ratio grows by {growth:.2f} from 1 to 16 starters (target: at most {TARGET_GROWTH})")
    return 0 if growth <= TARGET_GROWTH else 1


if __name__ == "__main__":
    sys.exit(main())
