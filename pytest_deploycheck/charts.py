"""What was seen over time, or beside each other, as data: ``report.json`` has it, and ``report.html`` draws it.

A record of an experiment has it as ``charts``, as it has ``steps``; a check adds more with ``note.drew``. All
values are plain, because pytest-xdist sends them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from pytest_deploycheck.probes.answer import Answer

# So many requests of one kind are listed; all that failed or were slow, and of the others as many as there is room for.
MOST_REQUESTS = 240
# Slow is what took so many times as long as the middle one, and more than what nobody feels.
SLOW_TIMES = 5
SLOW_FLOOR_S = 0.3
# What is said right where the app is not up, by the proxy or by nobody.
NOT_UP = (
    502,
    503,
    504,
    "ConnectionRefusedError",
    "ConnectionResetError",
    "BrokenPipeError",
    "RemoteDisconnected",
    "SSLEOFError",
    "SSLError",
    "TimeoutError",
)

Request = tuple[float, float, int | str]
Point = tuple[float, float]
Moment = tuple[float, str]


@dataclass(frozen=True, kw_only=True)
class RequestChart:
    """Requests around an event.

    Attributes:
        title: what is seen.
        requests: by what they were: when each began, how long it took (both in seconds), its status or the error.
        moments: what happened when, in seconds. The first event is at 0; what was before it is negative.
        slow_s: by what they were, how long a request takes that counts as slow, in seconds.
        left_out: by what they were, how many more good requests there were.
        expected: by what they were, statuses and errors that are right answers here, though not good ones.
    """

    KIND: ClassVar = "requests"
    title: str
    requests: dict[str, list[Request]]
    moments: list[Moment] = field(default_factory=list)
    slow_s: dict[str, float] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    expected: dict[str, list[int | str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LineChart:
    """Values over time.

    Attributes:
        title: what is seen.
        unit: of the values.
        lines: by what they are of: moments in seconds, each with its value.
        limit: what no value may be above, None if there is no such thing.
        limit_name: how the limit is called.
        moments: what happened when, in seconds.
    """

    KIND: ClassVar = "lines"
    title: str
    unit: str
    lines: dict[str, list[Point]]
    limit: float | None = None
    limit_name: str = ""
    moments: list[Moment] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class BarChart:
    """Values beside each other, each of one or more parts.

    Attributes:
        title: what is seen.
        unit: of the values.
        bars: by what they are of, the parts with their values.
        limit: what no bar may be above, None if there is no such thing.
        limit_name: how the limit is called.
    """

    KIND: ClassVar = "bars"
    title: str
    unit: str
    bars: dict[str, dict[str, float]]
    limit: float | None = None
    limit_name: str = ""


@dataclass(frozen=True, kw_only=True)
class ShareChart:
    """Parts of a whole, from 0 to 1, and the band in which they should be.

    Attributes:
        title: what is seen.
        shares: by what they are of.
        band: the lower and the upper end.
        band_name: how the band is called.
    """

    KIND: ClassVar = "shares"
    title: str
    shares: dict[str, float]
    band: tuple[float, float]
    band_name: str


Chart = RequestChart | LineChart | BarChart | ShareChart
CHARTS: dict[str, type[Chart]] = {kind.KIND: kind for kind in (RequestChart, LineChart, BarChart, ShareChart)}


def to_json(chart: Chart) -> dict[str, Any]:
    """Return a chart as it stands in ``report.json``."""
    return {"kind": chart.KIND, **asdict(chart)}


def from_json(content: Mapping[str, Any]) -> Chart:
    """Return the chart that ``to_json`` has written.

    Raises:
        KeyError: of a kind that this version does not know.
    """
    fields = dict(content)
    return CHARTS[fields.pop("kind")](**fields)


def around(
    title: str,
    answers: Mapping[str, Iterable[Answer]],
    moments: Sequence[tuple[float, str]],
    *,
    begin: float | None = None,
    expected: Mapping[str, Sequence[int | str]] | None = None,
) -> RequestChart:
    """Make a chart of timed requests.

    Args:
        title: what is seen.
        answers: by what they are, the requests.
        moments: what happened at which ``time.monotonic()``.
        begin: what is taken for 0; the first of the moments by default.
        expected: see ``RequestChart``.
    """
    lanes = {name: sorted(found, key=lambda one: one.start) for name, found in answers.items()}
    starts = [one.start for found in lanes.values() for one in found]
    zero = begin if begin is not None else min([at for at, _ in moments] or starts or [0.0])
    slow_s = {name: _slow_s(found) for name, found in lanes.items()}
    kept = {name: _kept(found, slow_s[name]) for name, found in lanes.items()}
    return RequestChart(
        title=title,
        requests={
            name: [(round(one.start - zero, 3), round(one.end - one.start, 4), one.status) for one in found]
            for name, found in kept.items()
        },
        moments=[(round(at - zero, 3), text) for at, text in sorted(moments)],
        slow_s=slow_s,
        left_out={name: len(lanes[name]) - len(found) for name, found in kept.items()},
        expected={name: list(statuses) for name, statuses in (expected or {}).items()},
    )


def _slow_s(answers: Sequence[Answer]) -> float:
    times = [one.end - one.start for one in answers if one.ok]
    return round(max(SLOW_FLOOR_S, SLOW_TIMES * statistics.median(times or [0.0])), 3)


def _kept(answers: list[Answer], slow_s: float) -> list[Answer]:
    """Return those that tell something, and evenly some of the others."""
    ordinary = [one for one in answers if one.ok and one.end - one.start <= slow_s]
    room = max(MOST_REQUESTS - (len(answers) - len(ordinary)), MOST_REQUESTS // 4)
    if len(ordinary) <= room:
        return answers
    left = {ordinary[index * len(ordinary) // room] for index in range(room)}
    return [one for one in answers if one in left or not one.ok or one.end - one.start > slow_s]
