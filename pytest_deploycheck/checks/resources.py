"""Resource utilization: it can be seen, and slow work leaves room for the rest."""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pytest_deploycheck.charts import ShareChart, around
from pytest_deploycheck.check import check
from pytest_deploycheck.need import Need
from pytest_deploycheck.outcome import Blocked, NotApplicable, Note
from pytest_deploycheck.probes.connections import answered_at_once, descriptors, public_connections, room_for
from pytest_deploycheck.probes.full_disk import full_volume
from pytest_deploycheck.probes.health import HEALTH_BOUND_S, REFUSED, UnderLoad
from pytest_deploycheck.probes.memory import MIB, footprint, mib
from pytest_deploycheck.probes.metrics import EVERYTHING, Scrape, fallen, grown, scrape, told_per_process
from pytest_deploycheck.probes.numbered_lines import NumberedLines
from pytest_deploycheck.probes.processes import cpu_seconds, memory
from pytest_deploycheck.probes.saturation import Load, load
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

TARGET = 0.7
TARGET_S = 1.0
# What FastAPI's documentation suggests to aim at.
BAND = (0.5, 0.9)

LOG_BOUND = 64 * MIB
LINE_SIZE = 2000
LINES_AT_ONCE = 500
REQUESTS_ON_FULL_DISK = 5
LINES_ON_FULL_DISK = 10
SAID_DEADLINE_S = 5.0

LATE_S = 10.0
LATE = 60
EARLY_S = 1.0


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


@check(
    "RES002",
    "the machine is used, not exhausted",
    expect="with more requests than it can answer, the deployment uses its CPUs instead of waiting, none fails, "
    "and memory stays within [tool.deploycheck] memory_limit_mb; the figures at 70 % of that rate are in the report",
    fix="look for what requests wait for one after the other: a lock, a pool of one connection, a blocking call",
)
def check_machine_is_used_not_exhausted(quiet_stack: Stack, saturation: Load, note: Note) -> None:
    """Send as many requests as are answered, then 70 % of that rate, and measure CPU time, memory and answer times."""
    stack, path, limit = quiet_stack, quiet_stack.config.requests.read, quiet_stack.config.memory_limit_mb
    used = footprint(stack.processes().tree)
    full = saturation
    lines = max(1, full.lines)
    target = load(stack, path, lines=lines, seconds=TARGET_S, rate=max(1.0, TARGET * full.rate))
    low, high = BAND
    note.did(
        f"requests to {path} over {lines} connections: {full.rate:.0f} a second, then {target.rate:.0f} a second"
    )
    note.measured(
        cpu_at_saturation=round(full.cpu_share, 2),
        busiest_worker_at_saturation=round(full.worker_share, 2),
        cpu_at_target=round(target.cpu_share, 2),
        band=list(BAND),
        in_band=low <= target.cpu_share <= high,
        memory_mb=mib(used.total),
        memory_share=round(used.total / (limit * MIB), 2) if limit else None,
        requests_per_s_at_saturation=round(full.rate),
        requests_per_s_at_target=round(target.rate),
        p95_s_at_saturation=round(full.answers.percentile_s(95), 4),
        p95_s_at_target=round(target.answers.percentile_s(95), 4),
    )
    note.drew(
        ShareChart(
            title="how much of its CPUs the deployment uses",
            shares={
                f"CPU at saturation ({full.rate:.0f} requests a second)": round(full.cpu_share, 3),
                f"CPU at {TARGET:.0%} of that ({target.rate:.0f} a second)": round(target.cpu_share, 3),
                **({f"memory of {limit} MiB": round(used.total / (limit * MIB), 3)} if limit else {}),
            },
            band=BAND,
            band_name="aim",
        ),
        around("requests at saturation", {f"GET {path}": full.answers.answers}, []),
        around(f"requests at {TARGET:.0%} of that rate", {f"GET {path}": target.answers.answers}, []),
    )
    for what, seen in (("at saturation", full), ("at the target", target)):
        # Some may be refused, which RES006 asks for.
        failed = [answer for answer in seen.answers.failed if answer.status not in REFUSED]
        assert not failed, f"requests failed {what}: {seen.answers.summary()}"
    assert full.is_busy, (
        f"requests waited, and no worker was busy: the busiest worked, or waited for a CPU, {full.worker_share:.0%} of "
        f"the time; {full.rate:.0f} answers a second, 95 of 100 within {full.answers.percentile_s(95):.2f} s"
    )
    assert limit is None or used.total <= limit * MIB, (
        f"more than {limit} MiB after the load: {used.describe()}"
    )


@check(
    "RES003",
    "slow work does not block health",
    expect=f"health answers within {HEALTH_BOUND_S} s (99 of 100), and mostly (3 of 4) in less than half the time that "
    "one slow request takes alone, in each worker; slow requests are served meanwhile",
    fix="`def` instead of `async def` for routes that compute or block, so that they run in threads, and few threads",
)
def check_slow_work_does_not_block_health(quiet_stack: Stack, overload: list[UnderLoad], note: Note) -> None:
    """Send far more slow requests at once than can be answered, while health is polled."""
    requests, seen = quiet_stack.config.requests, overload[-1]
    note.did(
        f"{len(seen.heavy.answers)} requests to {requests.heavy} at once, while {requests.live} was polled: by the "
        "public, and in each worker over a connection that was open before"
    )
    note.measured(
        health_p99_s=[round(attempt.slowest_s(99), 3) for attempt in overload],
        health_p75_s=[round(attempt.slowest_s(75), 3) for attempt in overload],
        heavy_alone_s=round(seen.alone_s, 3),
        heavy_median_s=round(seen.served.percentile_s(50), 3),
    )
    waits = ", ".join(f"{attempt.slowest_s(75):.2f} to {attempt.slowest_s(99):.2f} s" for attempt in overload)
    assert seen.served.answers, f"no slow request was served: {seen.heavy.summary()}"
    assert not seen.health.failed, f"health failed meanwhile: {seen.health.summary()}"
    assert not seen.blocks, (
        f"the slowest quarter of the health requests took {waits} in {len(overload)} attempts; "
        f"one slow request alone takes {seen.alone_s:.2f} s"
    )


@check(
    "RES004",
    "enough file descriptors",
    expect="each process of app and proxy may open as many files as it holds connections, on top of what it has open, "
    "and so many connections are answered at the same time",
    fix="raise the soft limit of open files where the processes are started, or declare fewer `connections`",
)
def check_enough_file_descriptors(stack: Stack, note: Note) -> None:
    """Open as many connections as the deployment must hold, to the public port and to the app, and ask meanwhile."""
    need, path = stack.config.connections, stack.config.requests.read
    limits = descriptors(stack.processes().tree | stack.proxy_pids())
    note.measured(
        connections=need,
        descriptors=[
            {"pid": one.pid, "name": one.name, "open": one.used, "limit": one.limit} for one in limits
        ],
    )
    short = [one for one in limits if one.limit < one.own + need]
    assert not short, f"{need} connections need more than these processes may open: " + ", ".join(
        f"pid {one.pid} ({one.name}) may open {one.limit}, and has {one.own} open already" for one in short
    )
    with room_for(2 * need), public_connections(stack.entry.https_port, need) as opened:
        answered = answered_at_once(stack, need)
        status = stack.entry.status(path)
    note.did(f"{need} connections to the public port, and {need} straight to the app, all at the same time")
    assert opened == need, f"only {opened} of {need} connections to the public port were taken"
    assert answered == need, f"only {answered} of {need} connections to the app were answered"
    assert status == 200, f"meanwhile GET {path} was answered with {status}"


@check(
    "RES005",
    "logs cannot fill the disk",
    expect=f"no log file grows above {LOG_BOUND / MIB:.0f} MiB: it is rotated, and no line is lost on the way",
    fix="a size at which the log is rotated and a number of files that are kept, in the part that writes the file",
    needs=(Need.LOGS,),
)
def check_logs_cannot_fill_the_disk(stack: Stack, note: Note) -> None:
    """Let the app log numbered lines until its log is rotated, and look for each of them on the disk."""
    lines = NumberedLines(stack)
    lines.write(LINES_AT_ONCE, size=LINE_SIZE)
    logs = frozenset(_log_files(lines))
    grown = 0
    while grown < LOG_BOUND and not lines.rotated(logs):
        lines.write(LINES_AT_ONCE, size=LINE_SIZE)
        grown += LINES_AT_ONCE * LINE_SIZE
    lines.write(LINES_AT_ONCE, size=LINE_SIZE)
    found = lines.found()
    sizes = {file.name: file.stat().st_size for file in sorted(found)}
    note.did(f"{lines.written} lines of {LINE_SIZE} bytes through the app's own logging")
    note.measured(lines=lines.written, bytes_on_disk=sizes)
    assert max(sizes.values()) < LOG_BOUND, f"a log grows without a bound: {_in_mib(sizes)}"
    lost = set(range(lines.written)) - set().union(*found.values())
    assert not lost, (
        f"{len(lost)} of {lines.written} lines are in no file, from number {min(lost)} to {max(lost)}; {_in_mib(sizes)}"
    )


@check(
    "RES006",
    "overload is refused early",
    expect="each request is served, or refused with 503 or 429, in bounded time; some are refused, long before the "
    "others are served, and right afterwards all is as before",
    fix="bound the requests in progress, in the app (a middleware), the server or the proxy, and refuse all others",
)
def check_overload_is_refused_early(quiet_stack: Stack, overload: list[UnderLoad], note: Note) -> None:
    """Send far more slow requests at once than can be answered, and then one more."""
    seen, path = overload[-1], quiet_stack.config.requests.heavy
    if seen.blocks:
        raise Blocked("slow requests block the workers, so they cannot refuse any (see RES003)")
    served, refused, after = seen.served, seen.refused, seen.afterwards
    after_s = after.end - after.start
    note.did(
        f"{len(seen.heavy.answers)} requests to {path} at once: {len(served.answers)} served, "
        f"{len(refused.answers)} refused"
    )
    note.measured(
        served=len(served.answers),
        refused=len(refused.answers),
        slowest_served_s=round(served.percentile_s(100), 3),
        median_refused_s=round(refused.percentile_s(50), 3),
        afterwards_s=round(after_s, 3),
    )
    assert not seen.broken.answers, (
        f"some were neither served nor refused with 503 or 429: {seen.broken.summary()}"
    )
    assert refused.answers, (
        f"none of {len(served.answers)} was refused; the last one waited {served.percentile_s(100):.1f} s"
    )
    assert served.answers, "all were refused"
    slowest = seen.heavy.percentile_s(100)
    assert slowest < max(LATE_S, LATE * max(seen.alone_s, after_s)), (
        f"the last of them was answered after {slowest:.1f} s; one alone takes {seen.alone_s:.2f} s"
    )
    patience_s = max(EARLY_S, served.percentile_s(100) / 2)
    assert refused.percentile_s(50) < patience_s, (
        f"half of those who were refused waited {refused.percentile_s(50):.1f} s for it; "
        f"the last one was served after {served.percentile_s(100):.1f} s"
    )
    assert after.ok, f"right afterwards one more was answered with {after.status}"
    assert after_s < max(LATE_S / 2, slowest / 2), (
        f"right afterwards one more took {after_s:.1f} s; alone it took {seen.alone_s:.2f} s before"
    )


@check(
    "RES007",
    "a full disk is survived",
    expect='requests are answered while no log can be written, what the start command prints says "No space left", and '
    "logs flow again when there is room",
    fix="no request may depend on a log line; let the errors of logging come out where somebody reads them",
    needs=(Need.LOGS,),
)
def check_full_disk_is_survived(stack: Stack, note: Note) -> None:
    """Let each write to the logs fail as on a full disk, ask and write meanwhile, and give the room back."""
    if stack.log_keeper:
        raise NotApplicable(
            f"{stack.log_keeper} writes the logs: no process of the deployment notices how full their volume is"
        )
    requests, lines = stack.config.requests, NumberedLines(stack)
    _read_and_write(stack)  # so that what they write to is there
    lines.write(1, size=0)
    logs = _log_files(lines)
    printed = stack.copy.log_file.stat().st_size
    with full_volume(stack, logs):
        lines.write(LINES_ON_FULL_DISK, size=LINE_SIZE)
        answers = [_read_and_write(stack) for _ in range(REQUESTS_ON_FULL_DISK)]
        said = wait_for(lambda: _said(stack, printed), bool, deadline_s=SAID_DEADLINE_S)
    again = NumberedLines(stack)
    again.write(1, size=0)
    note.did(
        f"the volume of {', '.join(sorted({file.name for file in logs}))} was full for {len(answers)} requests"
    )
    bad = sorted({str(status) for pair in answers for status in pair if status not in (200, 201)})
    assert not bad, (
        f"with a full log volume requests to {requests.read}, or one that writes, were answered with {', '.join(bad)}"
    )
    assert said, f"nothing that the start command printed says {os.strerror(errno.ENOSPC)!r}"
    assert again.found(), "with room again, what the app logs is still written nowhere"


def _log_files(lines: NumberedLines) -> list[Path]:
    """Return where the lines are that were logged.

    Raises:
        NotApplicable: in no file of the deployment's.
    """
    if found := list(lines.found()):
        return found
    where = "to standard output" if lines.printed() else "to no file that could be found"
    raise NotApplicable(f"the app logs {where}: what keeps the logs is not part of this deployment")


def _read_and_write(stack: Stack) -> list[int | str]:
    """Send a request that reads, and one that writes if there is one; return their statuses."""
    requests = stack.config.requests
    statuses = [stack.entry.status(requests.read)]
    if requests.write:
        statuses.append(
            stack.entry.request("POST", requests.write.path, json=requests.write.json).status_code
        )
    return statuses


def _said(stack: Stack, since: int) -> bool:
    with stack.copy.log_file.open("rb") as log:
        log.seek(since)
        return os.strerror(errno.ENOSPC).encode() in log.read()


def _in_mib(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name}: {size / MIB:.1f} MiB" for name, size in sizes.items())


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
