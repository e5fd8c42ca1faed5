"""Sends far more slow requests at once than the app can answer, and asks for health meanwhile, inside of the cluster.

What it sees is the pods' own time: between it and them are neither kubectl nor the API server, which wait for busy CPUs
too. The order comes as JSON on standard input, and what was answered goes to standard output.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, HTTPException
from typing import Any

Answer = tuple[float, float, int | str]  # begin, end, status or error
CONNECT_DEADLINE_S = 5.0
PAUSE_S = 0.02


class Crowd:
    """One order: who is asked, for what, and how often."""

    def __init__(self, order: dict[str, Any]) -> None:
        """``order`` has what ``CrowdOfPod`` puts there."""
        self._order = order
        self._ended = threading.Event()
        self._health: list[Answer] = []
        self._by_worker: dict[int, list[Answer]] = {}

    def run(self) -> dict[str, Any]:
        """Return the answers, and when the slow requests began and ended."""
        heavy, service = self._order["heavy"], self._order["service"]
        alone = [self._once(heavy) for _ in range(2)]
        threads = [threading.Thread(target=self._poll, args=way, daemon=True) for way in self._ways()]
        for thread in threads:
            thread.start()
        while len(self._health) < self._order["calm"]:
            time.sleep(PAUSE_S)
        lines = [self._connection(service) for _ in range(self._order["count"])]
        for line in lines:
            with contextlib.suppress(OSError):  # then the request tells
                line.connect()
        began = time.monotonic()
        with ThreadPoolExecutor(len(lines)) as pool:
            answers = list(pool.map(lambda line: self._get(line, heavy), lines))
        ended = time.monotonic()
        afterwards = self._once(heavy)
        self._ended.set()
        for thread in threads:
            thread.join()
        return {
            "alone": alone,
            "heavy": answers,
            "health": self._health,
            "by_worker": self._by_worker,
            "afterwards": afterwards,
            "began": began,
            "ended": ended,
            "now": time.monotonic(),
        }

    def _connection(self, address: str) -> HTTPConnection:
        host, _, port = address.rpartition(":")
        return HTTPConnection(host, int(port), timeout=self._order["timeout_s"])

    def _get(self, line: HTTPConnection, path: str) -> Answer:
        start = time.monotonic()
        status: int | str
        try:
            line.request("GET", path, headers=self._order["headers"])
            answer = line.getresponse()
            answer.read()
            status = answer.status
        except (OSError, HTTPException) as error:
            status = type(error).__name__
        return start, time.monotonic(), status

    def _once(self, path: str) -> Answer:
        with contextlib.closing(self._connection(self._order["service"])) as line:
            return self._get(line, path)

    def _ways(self) -> list[tuple[HTTPConnection | None, list[Answer]]]:
        """Return whom to poll: the Service, over new connections, and each worker over one that is open already."""
        found: dict[int, HTTPConnection] = {}
        workers = set(self._order["workers"])
        addresses = itertools.cycle(self._order["pods"])
        end = time.monotonic() + CONNECT_DEADLINE_S
        while not found.keys() >= workers and time.monotonic() < end:
            line = self._connection(next(addresses))
            line.request("GET", self._order["who"], headers=self._order["headers"])
            found.setdefault(json.loads(line.getresponse().read())["pid"], line)
        self._by_worker = {pid: [] for pid in found}
        return [(None, self._health), *((line, self._by_worker[pid]) for pid, line in found.items())]

    def _poll(self, line: HTTPConnection | None, answers: list[Answer]) -> None:
        while not self._ended.is_set():
            health = self._order["health"]
            answers.append(self._get(line, health) if line else self._once(health))
            time.sleep(PAUSE_S)


if __name__ == "__main__":
    print(json.dumps(Crowd(json.load(sys.stdin)).run()))
