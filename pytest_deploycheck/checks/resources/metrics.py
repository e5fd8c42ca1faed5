"""What the app tells of itself, beside what the kernel says."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from pytest_deploycheck.check import check
from pytest_deploycheck.need import Need
from pytest_deploycheck.outcome import Note
from pytest_deploycheck.probes.kernel import cpu_seconds
from pytest_deploycheck.probes.memory import MIB
from pytest_deploycheck.probes.metrics import EVERYTHING, Scrape, fallen, grown, scrape, told_per_process
from pytest_deploycheck.probes.processes import memory
from pytest_deploycheck.probes.traffic import gather
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.stacks.protocol import Stack

ORDINARY_REQUESTS = 41
SCRAPES = 6
SCRAPES_DEADLINE_S = 5.0
COUNTED_DEADLINE_S = 2.0
COUNTERS = (("counter",), "")
DURATIONS = (("histogram", "summary"), "_count")
KERNEL_TOLERANCE = 0.25
CPU_SLACK_S = 0.1


@check(
    "RES001",
    "utilization can be seen",
    expect="each request is counted once and timed, CPU seconds and memory of each worker are what the kernel says, "
    "and counters never fall, whichever worker is asked",
    fix="let each worker answer for all of them (prometheus_client: PROMETHEUS_MULTIPROC_DIR), and show CPU "
    "seconds and resident memory of each worker with its pid as a label",
    needs=(Need.METRICS,),
)
def check_utilization_can_be_seen(stack: Stack, note: Note) -> None:
    """Send requests, and compare the app's metrics, from each worker, with what was sent and with the kernel's."""
    path = stack.config.requests.metrics
    assert path, "no metrics route is declared: add one, and name it as [tool.deploycheck.requests] metrics"
    first = scrape(stack, path)
    assert first.status == 200, f"{path} at the app's own address was answered with {first.status}"
    assert first.families, f"what {path} says cannot be parsed as metrics: {first.text!r}"
    # Not all at once: an app may refuse what is too much.
    sent = gather(lambda: stack.entry.get(stack.config.requests.read), count=ORDINARY_REQUESTS, threads=8)
    scrapes = _scrape_all_workers(stack, path, first)
    note.did(
        f"{len(sent)} requests to {stack.config.requests.read}, {len(scrapes)} scrapes of {path}, "
        f"answered by {len({seen.pid for seen in scrapes})} workers"
    )
    for what, metric in (("counter", COUNTERS), ("histogram or summary", DURATIONS)):
        same = set.intersection(*(_counted(scrapes, index, *metric) for index in range(1, len(scrapes))))
        assert same, (
            f"no {what} grew by {ORDINARY_REQUESTS} in all scrapes alike; {_growths(scrapes, *metric)}"
        )
    falls = fallen(scrapes)
    assert not falls, f"counters fell from one scrape to the next: {'; '.join(falls[:4])}"
    seen, kernel = _compare(stack, path)
    told = ", ".join(f"worker {pid}: {kernel[pid]}" for pid in sorted(kernel))
    cpu = told_per_process(seen, ("counter", "unknown"), {pid: k.is_cpu for pid, k in kernel.items()}, "cpu")
    rss = told_per_process(seen, ("gauge", "unknown"), {pid: k.is_rss for pid, k in kernel.items()}, "mem")
    note.measured(cpu_metrics=cpu, memory_metrics=rss, scrapes=len(scrapes))
    assert cpu, f"no counter holds the CPU seconds of each worker; the kernel says {told}"
    assert rss, f"no gauge holds the resident memory of each worker; the kernel says {told}"


def _scrape_all_workers(stack: Stack, path: str, first: Scrape) -> list[Scrape]:
    """Scrape until the last requests are counted, which may be after they were answered, and until all have told."""
    scrapes, workers = [first], stack.processes().workers

    def look() -> list[Scrape]:
        scrapes.append(scrape(stack, path))
        return scrapes

    def all_told(_: object) -> bool:
        pids = {seen.pid for seen in scrapes[early:]}
        enough = SCRAPES * (len(workers) if None in pids else 1)
        return len(scrapes) - early >= enough and (None in pids or pids >= workers)

    # Scrapes that came too early to count the last requests say nothing.
    wait_for(look, lambda seen: _counted(seen, -1, *COUNTERS), deadline_s=COUNTED_DEADLINE_S)
    early = len(scrapes) - 1
    wait_for(look, all_told, deadline_s=SCRAPES_DEADLINE_S)
    return [first, *scrapes[early:]]


def _counted(scrapes: list[Scrape], index: int, kinds: tuple[str, ...], suffix: str) -> set[str]:
    """Return what grew by the ordinary requests since the first scrape; scrapes may have been counted with them."""
    by = range(ORDINARY_REQUESTS, ORDINARY_REQUESTS + len(scrapes) + 1)
    return grown(scrapes[0], scrapes[index], by, kinds, suffix)


def _growths(scrapes: list[Scrape], kinds: tuple[str, ...], suffix: str) -> str:
    """Say what each worker told, for a message."""
    first = scrapes[0].sums(kinds, suffix)
    told = dict[int | None, str]()
    for seen in scrapes[1:]:
        growths = {
            name: groups[EVERYTHING] - first.get(name, Counter())[EVERYTHING]
            for name, groups in seen.sums(kinds, suffix).items()
        }
        told[seen.pid] = ", ".join(f"{name} {by:+g}" for name, by in growths.items() if by) or "nothing grew"
    return "; ".join(f"worker {pid}: {growth}" for pid, growth in told.items())


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """What the kernel says of one process, before and after a scrape."""

    rss: int
    cpu_before: float
    cpu_after: float

    def is_rss(self, value: float) -> bool:
        """Tell whether a metric's value is its memory."""
        return abs(value - self.rss) <= KERNEL_TOLERANCE * self.rss

    def is_cpu(self, value: float) -> bool:
        """Tell whether a metric's value is its CPU time."""
        low = self.cpu_before * (1 - KERNEL_TOLERANCE) - CPU_SLACK_S
        return low <= value <= self.cpu_after * (1 + KERNEL_TOLERANCE) + CPU_SLACK_S

    def __str__(self) -> str:
        return f"{self.cpu_after:.2f} s, {self.rss / MIB:.0f} MiB"


def _compare(stack: Stack, path: str) -> tuple[Scrape, dict[int, Kernel]]:
    """Scrape, and ask the kernel before and afterwards."""
    workers = stack.processes().workers
    before = {pid: cpu_seconds(pid) for pid in workers}
    seen = scrape(stack, path)
    return seen, {
        pid: Kernel(rss=memory(pid).rss, cpu_before=before[pid], cpu_after=cpu_seconds(pid))
        for pid in workers
    }
