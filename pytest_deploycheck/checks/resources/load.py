"""As many requests as there are, and more than can be answered."""

from __future__ import annotations

from pytest_deploycheck.charts import ShareChart, around
from pytest_deploycheck.check import check
from pytest_deploycheck.outcome import Blocked, Note
from pytest_deploycheck.probes.health import HEALTH_BOUND_S, REFUSED, UnderLoad
from pytest_deploycheck.probes.memory import MIB, footprint, mib
from pytest_deploycheck.probes.saturation import Load, load
from pytest_deploycheck.stacks.protocol import Stack

TARGET = 0.7
TARGET_S = 0.5
# What FastAPI's documentation suggests to aim at.
BAND = (0.5, 0.9)
LATE_S = 10.0
LATE = 60
EARLY_S = 1.0


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
