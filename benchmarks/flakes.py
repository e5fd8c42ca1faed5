"""Run the checks on the unbroken project again and again, maybe on a busy machine: all must be green each time."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "sabotage"))

from harness import bake, run_deploycheck  # noqa: E402

SERVERS = ("gunicorn", "uvicorn")
GREEN = ("passed", "not_applicable")
WORST = 40  # lines of a check's message


@dataclass
class Tally:
    """The runs of one server's project: how long each took, and each check that was not green."""

    times: list[float] = field(default_factory=list)
    flakes: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """Return one line."""
        first, last = min(self.times), max(self.times)
        median = statistics.median(self.times)
        return f"{len(self.times)} runs, {median:.1f} s (from {first:.1f} to {last:.1f}), {len(self.flakes)} flakes"


@contextmanager
def load(programs: int) -> Iterator[None]:
    """Keep some cores busy for the length of a ``with`` block."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(programs)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def run_once(project: Path, tally: Tally, turn: int, arguments: list[str]) -> None:
    """Make one run and take down what was not green."""
    began = time.monotonic()
    verdict = run_deploycheck(project, *arguments)
    tally.times.append(time.monotonic() - began)
    bad = sorted(name for name, status in verdict.statuses.items() if status not in GREEN)
    for name in bad:
        detail = "\n    ".join(verdict.details[name].splitlines()[:WORST])
        tally.flakes.append(f"run {turn}: {name} {verdict.statuses[name]}\n    {detail}")
    if verdict.exit_status and not bad:
        tally.flakes.append(f"run {turn}: exit status {verdict.exit_status}\n{verdict.output[-2000:]}")


def main() -> int:
    """Run, count, and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--server", choices=SERVERS, action="append", help="only this one")
    parser.add_argument("--select", metavar="ID|CONCEPT,...", help="only these checks")
    parser.add_argument(
        "--load", type=int, nargs="?", const=2, default=0, metavar="N", help="N busy programs beside (2)"
    )
    options = parser.parse_args()
    arguments = [f"--deploycheck-select={options.select}"] if options.select else []
    tallies = {server: Tally() for server in options.server or SERVERS}
    with tempfile.TemporaryDirectory() as folder, load(options.load):
        for server, tally in tallies.items():
            project = bake(Path(folder, server), app_server=server)
            for turn in range(1, options.repeats + 1):
                run_once(project, tally, turn, arguments)
                print(f"{server} {turn:>3}: {tally.times[-1]:5.1f} s, {len(tally.flakes)} flakes", flush=True)
    for server, tally in tallies.items():
        print(f"\n{server}: {tally.describe()}")
        print("\n".join(f"  {flake}" for flake in tally.flakes))
    return 1 if any(tally.flakes for tally in tallies.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
