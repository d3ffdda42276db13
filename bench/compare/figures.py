"""What is measured of a form, and its medians: pure functions over runs."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.compare.forms import Form


@dataclass(frozen=True)
class Run:
    """One batch of one form.

    `seconds` is from just before the submission until the summary was read; `cpu_ms` is milliseconds of processor time
    an item, by group of processes: the way's own are `way`.
    """

    form: Form
    repeat: int
    items: int
    parallelism: int
    model_ms: int
    seconds: float
    cpu_ms: Mapping[str, float]

    @property
    def items_per_second(self) -> float:
        """Throughput, end to end."""
        return self.items / self.seconds


@dataclass(frozen=True)
class Point:
    """The runs of a form: median, lowest and highest items a second, medians of seconds and of milliseconds an item.

    `ratio` is the median throughput as a multiple of that of the first form that was run.
    """

    form: Form
    items_per_second: float
    lowest: float
    highest: float
    ratio: float
    seconds: float
    cpu_ms: Mapping[str, float]


def medians(runs: Sequence[Run]) -> list[Point]:
    """Return one point a form, in the order of the first runs."""
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(run.form.name, []).append(run)
    points: list[Point] = []
    for group in groups.values():
        base = points[0].items_per_second if points else median(run.items_per_second for run in group)
        points.append(_point(group, base))
    return points


def _point(group: Sequence[Run], base: float) -> Point:
    rates = [run.items_per_second for run in group]
    rate = median(rates)
    return Point(
        form=group[0].form,
        items_per_second=rate,
        lowest=min(rates),
        highest=max(rates),
        ratio=rate / base,
        seconds=median(run.seconds for run in group),
        cpu_ms={name: median(run.cpu_ms[name] for run in group) for name in group[0].cpu_ms},
    )
