"""The medians of inputs as a page of Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.kit.publish import heading, middle, repeats_of

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def as_page(runs: Sequence[Run], machine: dict[str, Any]) -> str:
    """Write the medians."""
    repeats = repeats_of(runs)
    lines = [
        *heading("What an input costs, by its format", machine),
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
        times = f"{middle(some, 'size_mb'):.0f} | {middle(some, 'open_seconds'):.1f} | {middle(some, 'seconds'):.1f}"
        reader = f"{middle(some, 'reader_peak_rss_mb'):.0f}" if middle(some, "reader_peak_rss_mb") else ""
        memory = f"{middle(some, 'peak_rss_mb'):.0f} | {reader}"
        pace, hold = f"{middle(some, 'rows_per_second'):,.0f}", f"{middle(some, 'longest_hold_ms'):.0f}"
        lines.append(f"| {name} | {times} | {pace} | {memory} | {hold} |")
    return "\n".join([*lines, ""])
