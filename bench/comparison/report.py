"""The comparison written down: rows, what they come from, and medians as tables on the terminal."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

from bench.comparison.chart import draw
from bench.comparison.figures import medians
from bench.comparison.outcomes import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.comparison.figures import Point, Run
    from bench.comparison.outcomes import Outcome

NAME = "compare"
PROCESSES = ("way", "model", "gateway", "redis", "s3")
COLUMNS = (
    *("form", "way", "chunk", "parallelism", "model_ms", "items", "repeat", "seconds", "items_per_second"),
    *(f"{name}_cpu_ms_per_item" for name in PROCESSES),
)


HEADS = (
    *("way", "fault", "done to it", "seconds", "in the summary", "lost", "twice", "counted twice", "calls repeated"),
    "what happened",
)
OUTCOME_COLUMNS = (
    *("way", "fault", "done", "end", "seconds", "items", "present", "lost", "duplicated", "counted_twice"),
    *("failed", "wrong", "called", "repeated_calls", "happened"),
)


class Book:
    """The results in a folder, `out`, and on the terminal."""

    def __init__(self, out: Path, machine: Mapping[str, Any], console: Console) -> None:
        self.console = console
        self._out = out
        self._machine = machine

    def measured(self, runs: Sequence[Run]) -> None:
        """Write `compare.csv`, `.json` and `.svg`, and print the medians."""
        points = medians(runs)
        title = f"{runs[0].items} items, parallelism {runs[0].parallelism}, a model of {runs[0].model_ms} ms"
        self._out.mkdir(parents=True, exist_ok=True)
        write_rows(self._out / f"{NAME}.csv", runs)
        (self._out / f"{NAME}.json").write_text(json.dumps(self._machine, indent=2) + "\n")
        draw(self._out / f"{NAME}.svg", points, title)
        print_points(self.console, points, title)
        self._tell("Rows, machine and chart", ".csv, .json, .svg")

    def struck(self, outcomes: Sequence[Outcome]) -> None:
        """Write `compare-faults.csv` and `.md`, and print them."""
        write_outcomes(self._out / f"{NAME}-faults.csv", outcomes)
        (self._out / f"{NAME}-faults.md").write_text(markdown(outcomes, self._machine))
        print_outcomes(self.console, outcomes)
        self._tell("Faults", "-faults.csv, .md")

    def _tell(self, what: str, files: str) -> None:
        self.console.print(f"{what}: {self._out}/{NAME}{files}", soft_wrap=True, highlight=False)


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


def write_outcomes(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write one row a fault; the cells that a summary would fill are empty without one."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(OUTCOME_COLUMNS)
        writer.writerows(_outcome_row(outcome) for outcome in outcomes)


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
