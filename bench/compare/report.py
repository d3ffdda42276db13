"""The results of a comparison: rows, pages, a chart, and medians as tables on the terminal."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench.compare.forms import WAYS, medians
from bench.compare.outcomes import by_fault, summarize, words
from bench.kit.charts import new_figure, save
from bench.kit.publish import markdown_table, publish, terminal_table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from rich.console import Console

    from bench.compare.forms import Point, Run
    from bench.compare.outcomes import Outcome

NAME = "compare"
WIDTH, BAR_HEIGHT, MARGIN = 10.0, 0.42, 1.2
PROCESSES = ("way", "model", "gateway", "redis", "s3")
VERDICT = ("present", "lost", "duplicated", "counted_twice", "failed", "wrong")
HEADS = (
    *("way", "fault", "done to it", "runs", "seconds", "in the summary", "lost", "twice", "counted twice"),
    *("calls repeated", "what happened"),
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
        publish(self._out, NAME, machine=self._machine, rows=[as_row(run) for run in runs])
        draw(self._out / f"{NAME}.svg", points, title)
        print_points(self.console, points, title)
        self._tell("Rows, machine and chart", ".csv, .json, .svg")

    def struck(self, outcomes: Sequence[Outcome]) -> None:
        """Write `compare-faults.csv` and `.md`, and print them."""
        rows = [outcome_row(outcome) for outcome in outcomes]
        publish(self._out, f"{NAME}-faults", rows=rows, page=markdown(outcomes, self._machine))
        print_outcomes(self.console, outcomes)
        self._tell("Faults", "-faults.csv, .md")

    def _tell(self, what: str, files: str) -> None:
        self.console.print(f"{what}: {self._out}/{NAME}{files}", soft_wrap=True, highlight=False)


def as_row(run: Run) -> dict[str, object]:
    """Return a run as a row; a cell is None for processes that are out of sight."""
    return {
        "form": run.form.name,
        "way": run.form.way,
        "chunk": run.form.chunk,
        **{name: getattr(run, name) for name in ("parallelism", "model_ms", "items", "repeat", "seconds")},
        "items_per_second": run.items_per_second,
        **{f"{name}_cpu_ms_per_item": run.cpu_ms.get(name) for name in PROCESSES},
    }


def draw(path: Path, points: Sequence[Point], title: str) -> None:
    """Draw a bar a form: its median throughput, with a line from the lowest to the highest run."""
    labels = [f"{point.form.way}: {point.form.words}" for point in points]
    rates = [point.items_per_second for point in points]
    below = [point.items_per_second - point.lowest for point in points]
    above = [point.highest - point.items_per_second for point in points]
    colours = [f"C{WAYS.index(point.form.way)}" for point in points]
    figure, (axes,) = new_figure(1, (WIDTH, MARGIN + BAR_HEIGHT * len(points)))
    axes.barh(labels, rates, xerr=(below, above), color=colours, ecolor="black", capsize=3)
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    axes.set_axisbelow(True)
    axes.set_xlabel("items per second, from submission to a readable summary")
    axes.set_title(title)
    save(figure, path)


def print_points(console: Console, points: Sequence[Point], title: str) -> None:
    """Print one line a form."""
    rows = [
        {
            "form": point.form.name,
            "items/s": f"{point.items_per_second:.0f}",
            "min": f"{point.lowest:.0f}",
            "max": f"{point.highest:.0f}",
            "ratio": f"{point.ratio:.2f}",
            "s": f"{point.seconds:.2f}",
            "CPU ms": f"{point.cpu_ms['way']:.2f}",
            "all ms": f"{sum(point.cpu_ms.values()):.2f}",
        }
        for point in points
    ]
    console.print(terminal_table(title, rows))


def outcome_row(outcome: Outcome) -> dict[str, object]:
    """Return a batch that met a fault as a row; the cells of its summary are None where there is none."""
    verdict = asdict(outcome.verdict) if outcome.verdict else {}
    return {
        **{name: getattr(outcome, name) for name in ("way", "fault", "done", "run", "end", "seconds", "items")},
        **{name: verdict.get(name) for name in VERDICT},
        "called": len(set(outcome.called)),
        "repeated_calls": outcome.repeated,
        "happened": words(outcome),
    }


def markdown(outcomes: Sequence[Outcome], machine: Mapping[str, Any]) -> str:
    """Return the page of the faults: a line each, with equal numbers of its runs listed once."""
    lines = [
        "# Faults, run against each way",
        "",
        f"`{machine['command']}`, {machine['date']}, {machine['cores']} x {machine['cpu']}, Python {machine['python']}",
        "",
        f"{outcomes[0].items} items, one a task. Numbers of several runs stand beside each other where they differ.",
        "",
        *markdown_table(HEADS, map(_cells, by_fault(outcomes))),
    ]
    return "\n".join([*lines, ""])


def print_outcomes(console: Console, outcomes: Sequence[Outcome]) -> None:
    """Print one line a fault."""
    groups = by_fault(outcomes)
    rows = [
        {"way": g[0].way, "fault": g[0].fault, "done to it": g[0].done, "what happened": summarize(g)} for g in groups
    ]
    console.print(terminal_table("Faults", rows))


def _cells(group: Sequence[Outcome]) -> list[str]:
    verdicts = [outcome.verdict for outcome in group]
    return [
        *(group[0].way, group[0].fault, group[0].done, str(len(group))),
        _together(f"{outcome.seconds:.0f}" for outcome in group),
        *(_together(str(getattr(verdict, name)) if verdict else "-" for verdict in verdicts) for name in VERDICT[:4]),
        *(_together(str(outcome.repeated) for outcome in group), summarize(group)),
    ]


def _together(texts: Iterable[str]) -> str:
    known = list(texts)
    return known[0] if len(set(known)) == 1 else ", ".join(known)
