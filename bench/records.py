"""Runs as a file of rows, and their medians as tables on the terminal."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.figures import Point, Run

PROCESSES = ("pipeline", "model", "gateway", "redis", "s3")
COLUMNS = (
    *("parallelism", "model_ms", "items", "repeat", "seconds", "total_seconds", "items_per_second", "efficiency"),
    *("retried", *(f"{name}_cpu_ms_per_item" for name in PROCESSES), "pipeline_peak_rss_mb"),
)


def write_rows(path: Path, runs: Sequence[Run]) -> None:
    """Write one row a run; a cell is empty where there is nothing to say."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(run) for run in runs)


def print_points(console: Console, points: Sequence[Point]) -> None:
    """Print medians as two tables: what was reached, and what it took."""
    reached = Table(title="Throughput (medians)", title_justify="left")
    took = Table(
        title="Processor milliseconds an item by process, and the function's peak memory", title_justify="left"
    )
    for head in ("model ms", "parallelism", "items", "items/s", "spread", "scaling", "efficiency"):
        reached.add_column(head, justify="right")
    for head in ("model ms", "parallelism", *PROCESSES, "MiB"):
        took.add_column(head, justify="right")
    for point in points:
        case = point.case
        names = (str(case.model_ms), str(case.parallelism))
        figures = (f"{point.items_per_second:.1f}", f"{point.spread:.0%}", f"{point.scaling:.2f}")
        reached.add_row(*names, str(case.items), *figures, _cell(point.efficiency, 3) or "n/a")
        cpu = (_cell(point.cpu_ms.get(name), 2) or "n/a" for name in PROCESSES)
        took.add_row(*names, *cpu, _cell(point.peak_rss_mb, 0) or "n/a")
    console.print(reached, took)


def _row(run: Run) -> list[str]:
    case = run.case
    return [
        *map(str, (case.parallelism, case.model_ms, case.items, run.repeat)),
        *(f"{run.seconds:.4f}", f"{run.total_seconds:.4f}", f"{run.items_per_second:.2f}", _cell(run.efficiency, 4)),
        *(str(run.retried), *(_cell(run.cpu_ms.get(name), 4) for name in PROCESSES), _cell(run.peak_rss_mb, 1)),
    ]


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
