"""``report.json``, schema version 1: a public interface."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from pytest_deploycheck.report.results import Results

SCHEMA = 1


def write(folder: Path, results: Results, duration_s: float) -> Path:
    """Write ``report.json`` into ``folder``, which is made if missing; return the file."""
    document = {
        "schema": SCHEMA,
        "project": results.config.project,
        "stack": results.parts,
        "duration_s": round(duration_s, 3),
        "timings": results.timings,
        "relocated": results.relocated,
        "checks": [asdict(result) for result in results.all],
        "concepts": [
            {"concept": verdict.concept.slug, "verdict": verdict.verdict} for verdict in results.verdicts()
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "report.json"
    file.write_text(json.dumps(document, indent=2, default=str) + "\n", encoding="utf-8")
    return file
