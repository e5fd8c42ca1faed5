"""Metrics as Prometheus scrapes them: https://prometheus.io/docs/instrumenting/exposition_formats/."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from pytest_deploycheck.probes.workers import signature
from pytest_deploycheck.stacks.protocol import Stack

Group = tuple[str, str]
EVERYTHING: Group = ("", "")
REPLICA = "deploycheck_replica"


@dataclass(frozen=True, kw_only=True)
class Scrape:
    """One scrape.

    Attributes:
        pid: the process that answered, None if not known.
        status: of the answer.
        families: the metrics by name, empty if the answer cannot be parsed.
        text: what was answered.
    """

    pid: int | None
    status: int
    families: Mapping[str, Metric]
    text: str

    def samples(self, *kinds: str) -> Iterator[tuple[str, Sample]]:
        """Yield the samples of all metrics of some types, with the name of their metric."""
        for name, family in self.families.items():
            if family.type in kinds:
                yield from ((name, sample) for sample in family.samples)

    def counts(self) -> dict[tuple[str, frozenset[Group]], float]:
        """Return all that must never fall: counters, and what histograms and summaries count."""
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for _, sample in self.samples("counter", "histogram", "summary")
            if not sample.name.endswith("_created") and "quantile" not in sample.labels
        }

    def sums(self, kinds: Iterable[str], suffix: str) -> dict[str, Counter[Group]]:
        """Sum up samples whose names end with ``suffix`` by metric: all of them, and those of each label's value."""
        found: dict[str, Counter[Group]] = {}
        for name, sample in self.samples(*kinds):
            if sample.name.endswith(suffix) and not sample.name.endswith("_created"):
                for group in (EVERYTHING, *sample.labels.items()):
                    found.setdefault(name, Counter())[group] += sample.value  # type: ignore[assignment]
        return found


def scrape(stack: Stack, path: str) -> Scrape:
    """Ask the app at its own address, over a new connection; each replica of it, as who scrapes them would."""
    headers = {"Host": stack.config.domain, "Accept": "text/plain", **stack.config.requests.headers}
    seen = []
    for replica in stack.upstream.replicas():
        response = replica.get(path, headers=headers)
        seen.append(parsed(signature(response), response.status_code, response.text))
    return seen[0] if len(seen) == 1 else together(seen)


def together(scrapes: list[Scrape]) -> Scrape:
    """Return the metrics of several replicas as one scrape: a label says which of them told a sample."""
    families: dict[str, Metric] = {}
    for number, seen in enumerate(scrapes):
        for name, family in seen.families.items():
            whole = families.setdefault(name, Metric(family.name, family.documentation, family.type))
            whole.samples += [
                sample._replace(labels={**sample.labels, REPLICA: str(number)}) for sample in family.samples
            ]
    return Scrape(
        pid=None,
        status=max(seen.status for seen in scrapes),
        families=families,
        text=" ".join(seen.text for seen in scrapes)[:300],
    )


def parsed(pid: int | None, status: int, text: str) -> Scrape:
    """Parse an answer; one that is no metrics has none."""
    families: dict[str, Metric] = {}
    # The parser trusts its input: what is none ends in various errors.
    with contextlib.suppress(ValueError, LookupError, TypeError, AttributeError):
        families = {family.name: family for family in text_string_to_metric_families(text)}
    return Scrape(pid=pid, status=status, families=families, text=text[:300])


def grown(before: Scrape, after: Scrape, by: range, kinds: Iterable[str], suffix: str) -> set[str]:
    """Return the metrics that grew by a number out of ``by``, as a whole or for one value of a label."""
    earlier, later = before.sums(kinds, suffix), after.sums(kinds, suffix)
    return {
        name
        for name, groups in later.items()
        if any(value - earlier.get(name, Counter())[group] in by for group, value in groups.items())
    }


def told_per_process(
    seen: Scrape, kinds: Iterable[str], right: Mapping[int, Callable[[float], bool]], word: str
) -> list[str]:
    """Return the metrics with a right value for each process.

    Args:
        seen: where to look.
        kinds: types of metrics.
        right: for each process a function that knows whether a value is right.
        word: part of the name of a metric that need not have the pid as a label.

    A label that holds the pid says whose value it is. Without one there must be as many values as processes.
    """
    found = []
    for name, family in seen.families.items():
        if family.type not in kinds:
            continue
        values = {pid: [s.value for s in family.samples if str(pid) in s.labels.values()] for pid in right}
        if not any(values.values()) and word in name and len(family.samples) == len(right):
            values = {pid: [sample.value for sample in family.samples] for pid in right}
        if all(any(map(right[pid], values[pid])) for pid in right):
            found.append(name)
    return found


def fallen(scrapes: Iterable[Scrape]) -> list[str]:
    """Return what fell, or went away, from one scrape to the next."""
    found, earlier = [], dict[tuple[str, frozenset[Group]], float]()
    for seen in scrapes:
        later = seen.counts()
        for (name, labels), value in earlier.items():
            now = later.get((name, labels))
            if now is None or now < value:
                text = ",".join(f'{key}="{label}"' for key, label in sorted(labels))
                found.append(f"{name}{{{text}}} {value:g} -> {'gone' if now is None else f'{now:g}'}")
        earlier = later
    return found
