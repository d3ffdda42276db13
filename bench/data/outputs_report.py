"""The medians of outputs as a page of Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.kit.publish import heading, middle, repeats_of

if TYPE_CHECKING:
    from collections.abc import Sequence


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


def as_page(runs: Sequence[Run], machine: dict[str, Any]) -> str:
    """Write the medians."""
    repeats = repeats_of(runs)
    lines = [
        *heading("What the outputs of a batch cost", machine),
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
        times = f"{middle(some, 'seconds'):.1f} | {middle(some, 'join_seconds'):.1f} | {middle(some, 'size_mb'):.1f}"
        memory = f"{middle(some, 'before_rss_mb'):.0f} | {middle(some, 'peak_rss_mb'):.0f}"
        lines.append(f"| {name} | {times} | {memory} | {middle(some, 'longest_hold_ms'):.0f} |")
    return "\n".join([*lines, ""])
