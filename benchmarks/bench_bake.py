"""Compare a bake of this template with one of an empty template, in turns; print the ratio of the medians."""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET_RATIO = 1.5


def make_empty_template(folder: Path) -> Path:
    """Return a template with one question and one file."""
    project = folder / "{{cookiecutter.project_slug}}"
    project.mkdir(parents=True)
    (project / "README.md").write_text("{{cookiecutter.project_slug}}\n", encoding="utf-8")
    (folder / "cookiecutter.json").write_text('{"project_slug": "empty"}', encoding="utf-8")
    return folder


def bake_s(template: Path, scratch: Path) -> float:
    """Return the wall time of one bake, as a program of its own, as a user starts it."""
    settings = scratch / "cookiecutter.json"
    folders = {"cookiecutters_dir": str(scratch / "cookiecutters"), "replay_dir": str(scratch / "replay")}
    settings.write_text(json.dumps(folders), encoding="utf-8")
    with tempfile.TemporaryDirectory(dir=scratch) as output:
        options = ["--no-input", "--config-file", str(settings), "--output-dir", output]
        start = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "cookiecutter", *options, str(template)],
            check=True,
            env=os.environ | {"TMPDIR": str(scratch)},  # cookiecutter leaves a copy of each hook there
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        return time.perf_counter() - start


def main() -> int:
    """Bake in turns and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    repeats = parser.parse_args().repeats
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        templates = {"empty": make_empty_template(scratch / "empty"), "this": ROOT}
        times: dict[str, list[float]] = {name: [] for name in templates}
        for turn in range(repeats + 1):
            for name, template in templates.items():
                spent = bake_s(template, scratch)
                if turn:  # the first turn fills the file cache
                    times[name].append(spent)
    median = {name: statistics.median(values) for name, values in times.items()}
    ratio = median["this"] / median["empty"]
    for name, values in times.items():
        print(f"{name:6} median {median[name]:.3f} s  (from {min(values):.3f} to {max(values):.3f})")
    print(f"ratio  {ratio:.2f}  (target: at most {TARGET_RATIO})")
    return 0 if ratio <= TARGET_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
