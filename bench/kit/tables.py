"""Runs as a file of rows, and their medians as tables on the terminal."""

from __future__ import annotations

import csv
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from rich.table import Table

from bench.kit.figures import Traffic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.kit.figures import Point, Run

PROCESSES = ("function", "model", "gateway", "redis", "s3")
TRAFFIC = tuple(field.name for field in fields(Traffic))
COLUMNS = (
    *("way", "parallelism", "model_ms", "items", "at_once", "repeat"),
    *("seconds", "total_seconds", "items_per_second", "efficiency", "retried"),
    *(f"{name}_cpu_ms_per_item" for name in PROCESSES),
    "function_peak_rss_mb",
    *(name if name.endswith("ms") else f"{name}_per_item" for name in TRAFFIC),
)


def write_rows(path: Path, runs: Sequence[Run]) -> None:
    """Write one row a run; a cell is empty where there is nothing to say."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(run) for run in runs)


def print_points(console: Console, points: Sequence[Point]) -> None:
    """Print medians as three tables: what was reached, what it took, and what was asked for."""
    names = ("way", "model ms", "parallelism")
    reached = _table("Throughput (medians)", *names, "items", "items/s", "spread", "of bare", "efficiency")
    took = _table("Processor milliseconds an item, and the function's peak memory", *names, *PROCESSES, "MiB")
    asked = _table(
        "Requests an item, and milliseconds of a task and of a callback (p50, p99)",
        *(*names, "HTTP", "Redis trips", "commands", "S3", "task", "p99", "collect", "p99"),
    )
    for point in points:
        case = point.case
        row = (case.way, str(case.model_ms), str(case.parallelism))
        figures = (f"{point.items_per_second:.1f}", f"{point.spread:.0%}", _cell(point.against_bare, 2))
        reached.add_row(*row, str(case.items), *figures, _cell(point.efficiency, 3))
        took.add_row(*row, *(_cell(point.cpu_ms.get(name), 2) for name in PROCESSES), _cell(point.peak_rss_mb, 0))
        if point.traffic is not None:
            asked.add_row(*row, *(_cell(value, 3 if value < 1 else 1) for value in asdict(point.traffic).values()))
    console.print(reached, took, *([asked] if asked.rows else []))


def _table(title: str, *heads: str) -> Table:
    table = Table(title=title, title_justify="left")
    for head in heads:
        table.add_column(head, justify="left" if head == "way" else "right")
    return table


def _row(run: Run) -> list[str]:
    case = run.case
    traffic = asdict(run.traffic) if run.traffic else dict.fromkeys(TRAFFIC)
    return [
        *map(str, (case.way, case.parallelism, case.model_ms, case.items, run.at_once, run.repeat)),
        *(f"{run.seconds:.4f}", f"{run.total_seconds:.4f}", f"{run.items_per_second:.2f}", _cell(run.efficiency, 4)),
        *(str(run.retried), *(_cell(run.cpu_ms.get(name), 4) for name in PROCESSES), _cell(run.peak_rss_mb, 1)),
        *(_cell(traffic[name], 4) for name in TRAFFIC),
    ]


def _cell(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
