"""The comparison written down: rows, what they come from, and medians as tables on the terminal."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

from rich.table import Table

from bench.comparison.outcomes import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.comparison.figures import Point, Run
    from bench.comparison.outcomes import Outcome

PROCESSES = ("way", "model", "gateway", "redis", "s3")
COLUMNS = (
    *("form", "way", "chunk", "parallelism", "model_ms", "items", "repeat", "seconds", "items_per_second"),
    *(f"{name}_cpu_ms_per_item" for name in PROCESSES),
)


def write_rows(path: Path, runs: Sequence[Run]) -> None:
    """Write one row a run; a cell is empty for processes that are out of sight."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(_row(run) for run in runs)


def print_points(console: Console, points: Sequence[Point], title: str) -> None:
    """Print one line a form."""
    table = Table(title=title, title_justify="left")
    table.add_column("way")
    table.add_column("form")
    heads = ("items/s", "lowest", "highest", "of the first", "seconds", "CPU ms an item", "with all services")
    for head in heads:
        table.add_column(head, justify="right")
    for point in points:
        rates = (point.items_per_second, point.lowest, point.highest)
        cpu = (point.cpu_ms["way"], sum(point.cpu_ms.values()))
        table.add_row(
            *(point.form.way, point.form.words),
            *(f"{rate:.1f}" for rate in rates),
            *(f"{point.ratio:.2f}", f"{point.seconds:.2f}"),
            *(f"{ms:.2f}" for ms in cpu),
        )
    console.print(table)


def _row(run: Run) -> list[str]:
    form = run.form
    cpu = (f"{run.cpu_ms[name]:.4f}" if name in run.cpu_ms else "" for name in PROCESSES)
    return [
        *(form.name, form.way, str(form.chunk)),
        *map(str, (run.parallelism, run.model_ms, run.items, run.repeat)),
        *(f"{run.seconds:.4f}", f"{run.items_per_second:.2f}", *cpu),
    ]


HEADS = (
    *("way", "fault", "done to it", "seconds", "in the summary", "lost", "twice", "counted twice", "calls repeated"),
    "what happened",
)
OUTCOME_COLUMNS = (
    *("way", "fault", "done", "end", "seconds", "items", "present", "lost", "duplicated", "counted_twice"),
    *("failed", "wrong", "called", "repeated_calls", "happened"),
)


def write_outcomes(out: Path, outcomes: Sequence[Outcome], machine: Mapping[str, Any]) -> None:
    """Write `compare-faults.csv` and `.md`; cells that a summary would have filled are empty without one."""
    with (out / "compare-faults.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(OUTCOME_COLUMNS)
        writer.writerows(_outcome_row(outcome) for outcome in outcomes)
    (out / "compare-faults.md").write_text(markdown(outcomes, machine))


def markdown(outcomes: Sequence[Outcome], machine: Mapping[str, Any]) -> str:
    """Return the page of the faults."""
    lines = [
        "# Faults, run against each way",
        "",
        f"`{machine['command']}`, {machine['date']}, {machine['cores']} x {machine['cpu']}, Python {machine['python']}",
        "",
        f"| {' | '.join(HEADS)} |",
        f"|{'---|' * len(HEADS)}",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(_cells(outcome))} |" for outcome in outcomes), ""])


def print_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print one line a fault."""
    table = Table(title="Faults", title_justify="left")
    for head in HEADS:
        table.add_column(head)
    for outcome in outcomes:
        table.add_row(*_cells(outcome))
    console.print(table)


def _cells(outcome: Outcome) -> list[str]:
    verdict = outcome.verdict
    found = (verdict.present, verdict.lost, verdict.duplicated, verdict.counted_twice) if verdict else ()
    return [
        *(outcome.way, outcome.fault, outcome.done, f"{outcome.seconds:.1f}"),
        *(map(str, found) if verdict else ("", "", "", "")),
        *(str(outcome.repeated), words(outcome)),
    ]


def _outcome_row(outcome: Outcome) -> list[str]:
    verdict = outcome.verdict
    names = ("present", "lost", "duplicated", "counted_twice", "failed", "wrong")
    return [
        *(outcome.way, outcome.fault, outcome.done, outcome.end, f"{outcome.seconds:.2f}", str(outcome.items)),
        *(str(getattr(verdict, name)) if verdict else "" for name in names),
        *(str(len(set(outcome.called))), str(outcome.repeated), words(outcome)),
    ]
