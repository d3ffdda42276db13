"""Runs as a file of rows, and their medians as a page of Markdown."""

from __future__ import annotations

import csv
from dataclasses import asdict, dataclass, fields
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Run:
    """One process: what it wrote, seconds of the join and of all, MiB of outputs and of its memory, ms of the loop."""

    outputs: str
    items: int
    repeat: int
    join_seconds: float
    seconds: float
    size_mb: float
    before_rss_mb: float
    peak_rss_mb: float
    longest_hold_ms: float


COLUMNS = tuple(field.name for field in fields(Run))


def write_rows(path: Path, runs: Sequence[Run]) -> None:
    """Write one row a run."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for run in runs:
            cells = {name: f"{value:.3f}" if isinstance(value, float) else value for name, value in asdict(run).items()}
            writer.writerow(cells)


def as_page(runs: Sequence[Run], machine: dict[str, Any]) -> str:
    """Write the medians."""
    where = f"`{machine['command']}`, {machine['date']}, {machine['code']}, {machine['cores']} cores: {machine['cpu']}"
    repeats = max(run.repeat for run in runs) + 1
    lines = [
        *("# What the outputs of a batch cost", "", where, ""),
        f"{runs[0].items:,} items of three columns, one of a hundred failed. Medians of {repeats} processes each that",
        "read snapshot and segments from an S3 server on the same machine, and write to it. Each but `summary` writes",
        "the rows to submit again, and `none` nothing else; the last is what a reduce does. `before` is the memory of",
        "a process that has only begun, the longest hold how long the loop was away that answers callbacks meanwhile.",
        "",
        "| outputs | seconds | of them the join | written, MiB | memory before, MiB | peak, MiB | longest hold, ms |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(run.outputs for run in runs):
        some = [run for run in runs if run.outputs == name]

        def middle(figure: str, some: Sequence[Run] = some) -> float:
            return float(median(getattr(run, figure) for run in some))

        times = f"{middle('seconds'):.1f} | {middle('join_seconds'):.1f} | {middle('size_mb'):.1f}"
        memory = f"{middle('before_rss_mb'):.0f} | {middle('peak_rss_mb'):.0f} | {middle('longest_hold_ms'):.0f}"
        lines.append(f"| {name} | {times} | {memory} |")
    return "\n".join([*lines, ""])
