"""An app of several replicas, among which the proxy chooses."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from pytest_deploycheck.probes.http import Upstream
from pytest_deploycheck.probes.metrics import EVERYTHING, fallen, grown, parsed, together
from pytest_deploycheck.reader import load

METRICS = """
# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{{path="/"}} {requests}
# HELP size Memory.
# TYPE size gauge
size{{pid="7"}} {size}
"""
TABLE = """
[tool.deploycheck]
domain = "example.com"
manager_config = "swarm.yaml"
replicas = "$REPLICAS"
workers = 2
memory_limit_mb = 100
"""


def listening(path: Path) -> socket.socket:
    """Return a socket that takes connections."""
    found = socket.socket(socket.AF_UNIX)
    found.bind(str(path))
    found.listen()
    return found


def test_links_to_one_socket_are_one_replica(tmp_path: Path) -> None:
    """Each socket counts once, however many places lead to it, and one where nobody listens does not count."""
    for place, name in (("1", "a"), ("2", "b"), ("3", "a"), ("4", "gone")):
        (tmp_path / place).symlink_to(name)
    first, *others = (str(tmp_path / place) for place in "12345")
    with listening(tmp_path / "a"), listening(tmp_path / "b"):
        found = Upstream(first, tuple(others)).replicas()
    assert [Path(one.address).name for one in found] == ["1", "2"]


def test_one_address_is_one_replica() -> None:
    """It need not be there to be asked: then the request tells."""
    alone = Upstream("127.0.0.1:1")
    assert alone.replicas() == [alone]


def test_where_nobody_listens_the_request_tells(tmp_path: Path) -> None:
    """As with one address: it is for the check to say what came of it."""
    alone = Upstream(str(tmp_path / "1"), (str(tmp_path / "2"),))
    assert alone.replicas() == [alone]


def test_metrics_of_replicas_add_up() -> None:
    """Counters are summed up over all of them, and equal labels do not hide a sample."""
    scrapes = [
        together(
            [
                parsed(1, 200, METRICS.format(requests=3 + more, size=5)),
                parsed(2, 200, METRICS.format(requests=4, size=6)),
            ]
        )
        for more in (0, 10)
    ]
    assert [seen.sums(["counter"], "")["requests"][EVERYTHING] for seen in scrapes] == [7, 17]
    assert grown(scrapes[0], scrapes[1], range(10, 11), ["counter"], "") == {"requests"}
    assert [sample.value for _, sample in scrapes[0].samples("gauge")] == [5, 6]
    assert not fallen(scrapes)
    assert fallen(reversed(scrapes))


@pytest.mark.parametrize(("replicas", "workers", "memory_mb"), [("1", 2, 100), ("3", 6, 300)])
def test_table_speaks_of_each_replica(replicas: str, workers: int, memory_mb: int, tmp_path: Path) -> None:
    """The checks get what all of them have together."""
    (tmp_path / "pyproject.toml").write_text(TABLE)
    (tmp_path / ".env").write_text(f"REPLICAS={replicas}\n")
    config = load(tmp_path)
    assert (config.replicas, config.workers, config.memory_limit_mb) == (int(replicas), workers, memory_mb)
