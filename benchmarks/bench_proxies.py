"""Load the same app through each proxy of the template, in turns, and print a table for docs/proxies.md.

All deployments run side by side, and one of them is loaded at a time: rounds of load go round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
from pathlib import Path

from deployments import ROOT, Load, deployed, generate, load, require_wrk

ROUTE = "/notes"
PROXIES = json.loads((ROOT / "cookiecutter.json").read_text(encoding="utf-8"))["https_proxy"]


def measure(*, rounds: int, seconds: int) -> dict[str, list[Load]]:
    """Return what was seen of each proxy in each round; the first one warms up and does not count."""
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        urls = {
            proxy: stack.enter_context(deployed(generate(Path(folder, proxy), https_proxy=proxy)))
            for proxy in PROXIES
        }
        turns = [
            {proxy: load(url + ROUTE, seconds=seconds) for proxy, url in urls.items()}
            for _ in range(rounds + 1)
        ]
    return {proxy: [turn[proxy] for turn in turns[1:]] for proxy in PROXIES}


def main() -> int:
    """Print a row for each proxy: medians of all rounds, and how it compares with the first."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=int, default=3, help="of each round")
    options = parser.parse_args()
    require_wrk()
    seen = measure(rounds=options.rounds, seconds=options.seconds)
    first = seen[PROXIES[0]]
    print(f"| Proxy | Requests/s | 99 of 100 within | Requests/s beside {PROXIES[0]} |\n|---|---|---|---|")
    for proxy, loads in seen.items():
        ratio = statistics.median(mine.per_s / other.per_s for mine, other in zip(loads, first, strict=True))
        per_s = statistics.median(each.per_s for each in loads)
        p99_ms = statistics.median(each.p99_ms for each in loads)
        print(f"| {proxy} | {per_s:.0f} | {p99_ms:.0f} ms | {ratio:.2f} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
