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
    """One process: what it read, MiB of it, seconds, rows a second, MiB of memory at most, ms of the loop."""

    input: str
    rows: int
    repeat: int
    size_mb: float
    open_seconds: float
    seconds: float
    rows_per_second: float
    peak_rss_mb: float
    reader_peak_rss_mb: float
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
        *("# What an input costs, by its format", "", where, ""),
        f"{runs[0].rows:,} rows of six columns, read from an S3 server on the same machine and cut into a snapshot",
        f"there. Medians of {repeats} processes each. The first seconds are until the columns are known: Parquet,",
        "NDJSON and JSON are read whole by then, by a process of their own. Its memory is at most the column `reader`:",
        "the system counts what its parent held when it began. The longest hold is how long the loop was away that",
        "answers callbacks meanwhile. `as objects`: `columns` of three names.",
        "",
        "| input | MiB | until open, s | seconds | rows/s | peak, MiB | reader, MiB | longest hold, ms |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(run.input for run in runs):
        some = [run for run in runs if run.input == name]

        def middle(figure: str, some: Sequence[Run] = some) -> float:
            return float(median(getattr(run, figure) for run in some))

        times = f"{middle('size_mb'):.0f} | {middle('open_seconds'):.1f} | {middle('seconds'):.1f}"
        reader = f"{middle('reader_peak_rss_mb'):.0f}" if middle("reader_peak_rss_mb") else ""
        memory = f"{middle('peak_rss_mb'):.0f} | {reader}"
        lines.append(
            f"| {name} | {times} | {middle('rows_per_second'):,.0f} | {memory} | {middle('longest_hold_ms'):.0f} |"
        )
    return "\n".join([*lines, ""])
