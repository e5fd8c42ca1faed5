"""The table of docs/sizing.md is computed as its formulas say."""

from __future__ import annotations

import sizing

MEASURED = {
    "workers": 2,
    "requests_per_s_at_target": 140,
    "cpu_at_target": 0.7,
    "shared_mb": 20.0,
    "parent_uss_mb": 20.0,
    "worker_uss_mb": 60.0,
}


def test_pods_follow_the_load() -> None:
    """A worker answers 70 requests a second here, so 700 need ten. One may go, so never less than two."""
    assert sizing.size(700, MEASURED).pods == 10
    assert sizing.size(701, MEASURED).pods == 11
    assert sizing.size(1, MEASURED).pods == 2


def test_memory_and_connections_follow_the_pods() -> None:
    """Each pod has its memory, with a tenth on top, and its pool; a release adds a quarter of the pods."""
    found = sizing.size(700, MEASURED)
    assert round(found.memory_mb) == 1100
    assert found.connections == 65
    assert found.database == "as installed"


def test_the_database_comes_to_its_end_first() -> None:
    """More connections than PostgreSQL takes by default, and then more than it takes well."""
    assert sizing.size(1400, MEASURED).database == "a larger `max_connections`"
    assert sizing.size(14_000, MEASURED).database == "PgBouncer"
