"""The comparison written down: rows, what they come from, and medians as tables on the terminal."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

from rich.table import Table

from bench.compare.chart import draw
from bench.compare.figures import medians
from bench.compare.outcomes import by_fault, told, words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.compare.figures import Point, Run
    from bench.compare.outcomes import Outcome

NAME = "compare"
PROCESSES = ("way", "model", "gateway", "redis", "s3")
COLUMNS = (
    *("form", "way", "chunk", "parallelism", "model_ms", "items", "repeat", "seconds", "items_per_second"),
    *(f"{name}_cpu_ms_per_item" for name in PROCESSES),
)
HEADS = (
    *("way", "fault", "done to it", "runs", "seconds", "in the summary", "lost", "twice", "counted twice"),
    *("calls repeated", "what happened"),
)
OUTCOME_COLUMNS = (
    *("way", "fault", "done", "run", "end", "seconds", "items", "present", "lost", "duplicated", "counted_twice"),
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
    table.add_column("form", no_wrap=True)
    for head in ("items/s", "min", "max", "ratio", "s", "CPU ms", "all ms"):
        table.add_column(head, justify="right")
    for point in points:
        rates = (point.items_per_second, point.lowest, point.highest)
        cpu = (point.cpu_ms["way"], sum(point.cpu_ms.values()))
        table.add_row(
            point.form.name,
            *(f"{rate:.0f}" for rate in rates),
            *(f"{figure:.2f}" for figure in (point.ratio, point.seconds, *cpu)),
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
    """Return the page of the faults: a line each, with what its runs have in common said once."""
    lines = [
        "# Faults, run against each way",
        "",
        f"`{machine['command']}`, {machine['date']}, {machine['cores']} x {machine['cpu']}, Python {machine['python']}",
        "",
        f"{outcomes[0].items} items, one a task. Numbers of several runs stand beside each other where they differ.",
        "",
        f"| {' | '.join(HEADS)} |",
        f"|{'---|' * len(HEADS)}",
    ]
    return "\n".join([*lines, *(f"| {' | '.join(_cells(group))} |" for group in by_fault(outcomes)), ""])


def print_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print one line a fault."""
    table = Table(title="Faults", title_justify="left")
    for head in ("way", "fault", "done to it", "what happened"):
        table.add_column(head)
    for group in by_fault(outcomes):
        table.add_row(group[0].way, group[0].fault, group[0].done, told(group))
    console.print(table)


def _cells(group: Sequence[Outcome]) -> list[str]:
    verdicts = [outcome.verdict for outcome in group]
    names = ("present", "lost", "duplicated", "counted_twice")
    return [
        *(group[0].way, group[0].fault, group[0].done, str(len(group))),
        _together(f"{outcome.seconds:.0f}" for outcome in group),
        *(_together(str(getattr(verdict, name)) if verdict else "-" for verdict in verdicts) for name in names),
        *(_together(str(outcome.repeated) for outcome in group), told(group)),
    ]


def _together(texts: Iterable[str]) -> str:
    known = list(texts)
    return known[0] if len(set(known)) == 1 else ", ".join(known)


def _outcome_row(outcome: Outcome) -> list[str]:
    verdict = outcome.verdict
    names = ("present", "lost", "duplicated", "counted_twice", "failed", "wrong")
    return [
        *(outcome.way, outcome.fault, outcome.done, str(outcome.run), outcome.end, f"{outcome.seconds:.2f}"),
        *(str(outcome.items), *(str(getattr(verdict, name)) if verdict else "" for name in names)),
        *(str(len(set(outcome.called))), str(outcome.repeated), words(outcome)),
    ]
