"""What a load run says: rates, fairness, percentiles, and whether memory stays flat."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import linear_regression, median, quantiles
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One look: seconds since the start, messages that wait, and MiB by process."""

    second: float
    queue: int
    memory: Mapping[str, float]


@dataclass(frozen=True)
class Figures:
    """A load run, in seconds: `ends` of the batches since the start, a small batch `alone` and `among` the others."""

    items: int
    ends: Sequence[float]
    alone: float
    among: float
    collects: Sequence[float]
    samples: Sequence[Sample]
    problems: Sequence[str]


def growth(samples: Sequence[Sample], name: str) -> float:
    """Return the MiB a minute that a process grows by in the second half of a run."""
    half = samples[len(samples) // 2 :]
    slope = linear_regression([sample.second for sample in half], [sample.memory[name] for sample in half]).slope
    return slope * 60


def percentiles(values: Sequence[float]) -> tuple[float, float, float, float]:
    """Return the median, the 95th and the 99th percentile, and the largest."""
    cuts = quantiles(values, n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98], max(values)


def write_report(path: Path, figures: Figures, machine: Mapping[str, Any]) -> None:
    """Write the figures as a page."""
    p50, p95, p99, most = (f"{1000 * value:.0f} ms" for value in percentiles(figures.collects))
    rows = [
        ("items", f"{figures.items:,}"),
        ("items a second", f"{figures.items / max(figures.ends):.0f}"),
        ("batches ended after, first / median / last", " / ".join(map(_seconds, _spread(figures.ends)))),
        ("a batch of 100 items alone / among the others", f"{_seconds(figures.alone)} / {_seconds(figures.among)}"),
        ("callbacks", f"{len(figures.collects):,}"),
        ("`collect`, p50 / p95 / p99 / most", f"{p50} / {p95} / {p99} / {most}"),
        ("deepest queue", f"{max(sample.queue for sample in figures.samples):,}"),
        ("summaries that are not every row once, in order", str(len(figures.problems))),
    ]
    memory = [_memory(figures.samples, name) for name in figures.samples[0].memory]
    where = (
        f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_before']} before, Python {machine['python']}."
    )
    lines = [
        "# Load",
        "",
        f"`{machine['command']}`, {machine['date']}, code {machine['code']}.",
        "",
        where,
        "",
        *_table(("what", "figure"), rows),
        "",
        "Memory in MiB; growth is the slope of the second half of the run:",
        "",
        *_table(("process", "first", "at half", "last", "most", "growth a minute"), memory),
        "",
        *figures.problems,
    ]
    path.write_text("\n".join(lines).rstrip() + "\n")


def _memory(samples: Sequence[Sample], name: str) -> tuple[str, ...]:
    values = [sample.memory[name] for sample in samples]
    shown = (values[0], values[len(values) // 2], values[-1], max(values))
    return name, *(f"{value:.0f}" for value in shown), f"{growth(samples, name):+.1f}"


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    return min(values), median(values), max(values)


def _seconds(value: float) -> str:
    return f"{value:.1f} s"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
