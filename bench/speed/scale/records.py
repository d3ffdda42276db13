"""Runs as a file of rows, and as tables on the terminal."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

from rich.table import Table

from bench.kit.errors import BenchError
from bench.speed.scale.figures import FITTED, PROCESSES, Run, by_chunk, fit

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

COLUMNS = tuple(field.name for field in fields(Run))
WHOLE = {"items", "chunk"}


def write_rows(path: Path, runs: Sequence[Run]) -> None:
    """Write one row a run."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in asdict(run).items()} for run in runs)


def read_rows(path: Path) -> list[Run]:
    """Read what `write_rows` wrote; raises BenchError for another file."""
    try:
        with path.open(newline="") as file:
            return [Run(**_numbers(row)) for row in csv.DictReader(file)]
    except (OSError, TypeError, ValueError) as error:
        raise BenchError(f"{path} holds no rows of this benchmark: {error}") from error


def print_runs(console: Console, runs: Sequence[Run]) -> None:
    """Print what was measured, what an item costs at each size, and the lines through them."""
    heads = ("chunk", "items")
    times = _table("Seconds", (*heads, "open", "map", "reduce", "total", "items/s"))
    cpu = _table("Processor microseconds an item", (*heads, *PROCESSES, "all"))
    asked = _table(
        "Redis and S3 an item; S3 requests for 1,000", (*heads, "Redis bytes", "commands", "S3 bytes", "S3/1,000")
    )
    memory = _table(
        "Peaks in MiB: the pipeline by phase, others during the map", (*heads, "open", "map", "reduce", *PROCESSES[1:])
    )
    for run in (each for group in by_chunk(runs).values() for each in group):
        names = (f"{run.chunk:,}", f"{run.items:,}")
        seconds = (run.open_seconds, run.map_seconds, run.reduce_seconds, run.total_seconds)
        times.add_row(*names, *(f"{value:.2f}" for value in seconds), f"{run.items_per_second:,.0f}")
        used = (*(getattr(run, f"{name}_cpu_ms") for name in PROCESSES), run.cpu_ms)
        cpu.add_row(*names, *(f"{1000 * ms / run.items:.1f}" for ms in used))
        more = (run.redis_bytes, run.redis_commands, run.stored_bytes, 1000 * run.s3_requests)
        asked.add_row(*names, *(f"{value / run.items:,.2f}" for value in more))
        own = (run.opening_rss_mb, run.pipeline_rss_mb, run.reduce_rss_mb)
        sizes = (*own, *(getattr(run, f"{name}_rss_mb") for name in PROCESSES[1:]))
        memory.add_row(*names, *(f"{size:.0f}" for size in sizes))
    console.print(times, cpu, asked, memory, _lines(runs))


def _lines(runs: Sequence[Run]) -> Table:
    table = _table("Straight lines", ("chunk", "figure", "once", "1,000 items", "off", "straight"))
    for chunk, group in by_chunk(runs).items():
        for name in FITTED:
            line = fit(group, name)
            if line is not None:
                cells = (f"{line.fixed:,.3g}", f"{1000 * line.per_item:,.3g}", f"{line.off:.0%}")
                table.add_row(f"{chunk:,}", name, *cells, "yes" if line.straight else "no")
    return table


def _table(title: str, heads: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head, justify="right")
    return table


def _cell(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")


def _numbers(row: dict[str, Any]) -> dict[str, Any]:
    return {name: int(value) if name in WHOLE else float(value) for name, value in row.items()}
