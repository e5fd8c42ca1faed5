"""What is finite besides: open files, and the disk that logs are written to."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from pytest_deploycheck.check import check
from pytest_deploycheck.need import Need
from pytest_deploycheck.outcome import NotApplicable, Note
from pytest_deploycheck.probes.connections import answered_at_once, descriptors, public_connections, room_for
from pytest_deploycheck.probes.full_disk import full_volume
from pytest_deploycheck.probes.memory import MIB
from pytest_deploycheck.probes.numbered_lines import NumberedLines
from pytest_deploycheck.probes.wait import wait_for
from pytest_deploycheck.stacks.protocol import Stack

LOG_BOUND = 64 * MIB
LINE_SIZE = 2000
LINES_AT_ONCE = 500
REQUESTS_ON_FULL_DISK = 5
LINES_ON_FULL_DISK = 10
SAID_DEADLINE_S = 5.0


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
    # Replicas have a log each, and share the lines more or less evenly.
    while grown < 2 * LOG_BOUND * stack.config.replicas and not (_has_no_bound(logs) or lines.rotated(logs)):
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


def _has_no_bound(logs: frozenset[Path]) -> bool:
    return any(file.stat().st_size >= LOG_BOUND for file in logs if file.exists())


def _log_files(lines: NumberedLines) -> list[Path]:
    """Return where the lines are that were logged.

    Raises:
        NotApplicable: in no file of the deployment's.
    """
    if found := list(lines.found()):
        return found
    where = "to standard output" if lines.printed() else "to no file that could be found"
    raise NotApplicable(f"the app logs {where}: what keeps the logs is not part of this deployment")


def _in_mib(sizes: dict[str, int]) -> str:
    return ", ".join(f"{name}: {size / MIB:.1f} MiB" for name, size in sizes.items())


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
