"""What the kernel says of processes, of this machine and where somebody else reads it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from pytest_deploycheck.probes import elsewhere, inside, kernel
from pytest_deploycheck.probes.connections import Descriptors, descriptors
from pytest_deploycheck.probes.control_groups import memory_limit
from pytest_deploycheck.probes.cpus import cpus
from pytest_deploycheck.probes.memory import footprint
from pytest_deploycheck.probes.processes import memory
from pytest_deploycheck.stacks.kubernetes.cluster import inside as beside

FIRST, SECOND = elsewhere.MOST_HERE + 100, elsewhere.MOST_HERE + 200
MAP = "7f00-7f01 r-xp 00000000 00:1 7 /lib/x\nRss: 40 kB\nAnonymous: 0 kB\n"
ROLLUP = (
    "Rss: 100 kB\nPss: 80 kB\nPss_Anon: 60 kB\nPrivate_Clean: 10 kB\nPrivate_Dirty: 50 kB\nAnonymous: 60 kB\n"
)


class Pods:
    """Two containers, with a process each."""

    def __init__(self) -> None:
        self.files = {
            "/proc/7/smaps_rollup": ROLLUP.replace(":", ":   "),
            "/proc/7/smaps": MAP.replace(": ", ":   "),
            "/proc/7/status": "Name:\tpython\nCpus_allowed_list:\t0-3,6\n",
            "/proc/7/limits": "Max open files            64                   4096                 files\n",
            "/proc/7/comm": "gunicorn\n",
            "/sys/devices/system/cpu/online": "0-3\n",
            "/proc/7/cgroup": "0::/\n",
            "/sys/fs/cgroup/memory.max": f"{64 << 20}\n",
            "/sys/fs/cgroup/cpu.max": "150000 100000\n",
        }

    def knows(self, number: int) -> bool:
        """Tell whether it is one of them."""
        return number in (FIRST, SECOND)

    def place(self, number: int) -> str:
        """Return its container."""
        return "first" if number == FIRST else "second"

    def read(self, _: int, path: str) -> str:
        """Return a file, which both have alike."""
        try:
            return self.files[path.format(pid=7)]
        except KeyError:
            raise FileNotFoundError(path) from None

    def links(self, _: int, folder: str) -> list[str]:
        """Return what both have open."""
        assert folder == "/proc/{pid}/fd"
        return ["/dev/null", "socket:[7]", "socket:[8]"]


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> Pods:
    """Return what sees two containers."""
    made = Pods()
    monkeypatch.setattr(elsewhere, "_WATCHERS", [made])
    return made


def test_own_process_is_read_as_others_read_it() -> None:
    """Memory and CPU time are what psutil says, which reads the same files."""
    info, seen = psutil.Process().memory_full_info(), memory(os.getpid())
    for mine, theirs in ((seen.rss, info.rss), (seen.pss, info.pss), (seen.uss, info.uss)):
        assert mine == pytest.approx(theirs, rel=0.1)
    times = psutil.Process().cpu_times()
    assert kernel.cpu_seconds(os.getpid()) == pytest.approx(times.user + times.system, abs=0.5)


def test_process_that_is_gone_is_told() -> None:
    """Of this machine, and of one whose container nobody knows any more."""
    for number in (elsewhere.MOST_HERE, FIRST):
        with pytest.raises(kernel.GONE):
            kernel.cpu_seconds(number)


@pytest.mark.usefixtures("pods")
def test_processes_elsewhere_are_measured_there() -> None:
    """Memory is that of both, and limits of their control groups, which bind one of them each, are added up."""
    assert memory(FIRST).uss == 60 * kernel.KIB
    assert footprint([FIRST, SECOND]).total == (60 + 60 + 40) * kernel.KIB
    assert memory_limit([FIRST, SECOND]) == 128 << 20
    assert elsewhere.by_place([FIRST, SECOND, os.getpid()]) == [{os.getpid()}, {FIRST}, {SECOND}]


@pytest.mark.usefixtures("pods")
def test_open_files_are_counted_where_a_process_is() -> None:
    """Of this process they are what psutil says; of one elsewhere what is said there."""
    with socket.socket():
        mine, other = descriptors(frozenset({os.getpid(), FIRST}))
        process = psutil.Process()
        assert mine.limit == process.rlimit(psutil.RLIMIT_NOFILE)[0]
        assert mine.used == pytest.approx(process.num_fds(), abs=2)  # to count them opens one
        assert mine.own < mine.used
    assert other == Descriptors(pid=FIRST, name="gunicorn", used=3, own=1, limit=64)


def test_cpus_that_a_machine_has_not_do_not_count(pods: Pods) -> None:
    """Affinity may hold numbers of CPUs that could be there; a quota bounds the others."""
    assert cpus(FIRST) == 1.5
    pods.files["/sys/fs/cgroup/cpu.max"] = "max 100000\n"
    assert cpus(FIRST) == 4


@pytest.mark.usefixtures("pods")
def test_container_without_a_limit_lets_all_be_without() -> None:
    """What one of them may take is bounded by nothing."""
    assert memory_limit([FIRST, SECOND, os.getpid()], proc=Path("/nowhere")) is None


def test_agent_reads_files_and_says_why_not() -> None:
    """An order for a file is answered by its text, or by the number of the error."""
    process = subprocess.Popen(
        [sys.executable, "-u", str(Path(beside.__file__).with_name("agent.py"))],
        env={"PYTHONPATH": str(Path(inside.__file__).parent), "DEPLOYCHECK_POD": "x"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    orders = [{"order": 1, "file": "/proc/self/stat"}, {"order": 2, "file": "/nowhere"}]
    orders.append({"order": 3, "folder": "/proc/self/fd"})
    said, _ = process.communicate("".join(f"{json.dumps(order)}\n" for order in orders), timeout=20)
    answers = {line["answer"]: line for line in map(json.loads, said.splitlines()) if "answer" in line}
    assert "python" in answers[1]["text"]
    assert answers[2]["number"] == 2
    assert answers[3]["text"].count("pipe:") >= 2
