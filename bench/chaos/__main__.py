"""Chaos runs: `python -m bench.chaos --seed 17` replays one, `--runs 200` runs many and writes their figures."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from bench.chaos.plan import Step, make_plan
from bench.chaos.run import Result, Row, run_all
from bench.chaos.scenarios import SCENARIOS
from bench.chaos.stage import SHORT
from bench.kit.cli import Out, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, ROOT, describe_machine, tree_of
from bench.kit.results import (
    as_frame,
    as_page,
    figures_table,
    publish_rows,
    read_frame,
    read_machine,
    table,
    write_files,
)

NAME = "chaos"
SINGLE = "chaos-scenarios"
_SUMMED = ("items", "steps_fired", "succeeded", "failed", "time_up", "never_run", "model_calls", "repeated_calls")
_MACHINE = ("command", "date", "code", "cores", "load_before")
KEPT = ROOT / "build" / "chaos"

Seed = Annotated[int | None, typer.Option(help="Run this one seed, and write no figures.")]
Runs = Annotated[int, typer.Option(min=1, help="How many seeds to run.")]
First = Annotated[int, typer.Option(help="The first of them.")]
Short = Annotated[bool, typer.Option("--short", help="Small batches and few faults, as in the tests.")]
Parallel = Annotated[int, typer.Option(min=1, help="Runs side by side, each on a stack of its own.")]
Items = Annotated[int, typer.Option(min=100, help="Items of the batch.")]
Older = Annotated[str, typer.Option(help="A commit whose version takes the place of a replica in each run.")]
Keep = Annotated[Path, typer.Option(help="The folder for the evidence of violations.")]

app = new_app()
console = new_console()


@app.callback(invoke_without_command=True)
def main(  # noqa: PLR0913 - the options of the command
    context: typer.Context,
    *,
    seed: Seed = None,
    runs: Runs = 200,
    first: First = 1,
    short: Short = False,
    parallel: Parallel = 1,
    older: Older = "",
    out: Out = RESULTS,
    keep: Keep = KEPT,
) -> None:
    """Run batches under the faults of seeds; exit code 1 when one broke a promise."""
    # The queue-workers would warn of every callback that a plan makes fail.
    logging.getLogger("pipeline.local").setLevel(logging.ERROR)
    if context.invoked_subcommand:
        return
    seeds = [seed] if seed is not None else range(first, first + runs)
    plans = [make_plan(number, short=short) for number in seeds]
    machine, rows = describe_machine("bench.chaos"), list[Row]()

    def done(result: Result) -> None:
        rows.append(result.row())
        figures = " ".join(f"{name}={figure}" for name, figure in rows[-1].items() if name != "violations")
        console.print(f"{time.strftime('%H:%M:%S')} {figures}")
        if result.violations:
            again = f"python -m bench.chaos --seed {result.plan.seed}{' --short' * short}"
            _print_violations(result.violations, f"evidence in {keep}; again: {again}")
        if seed is None:
            # After each run, so that an interrupted series leaves its results.
            publish_rows(out, machine, {NAME: sorted(rows, key=lambda one: int(one["seed"]))}, render)

    if older:
        # An older version may read a clock that does not step.
        later = [[step for step in plan.steps if step.fault != "clock-step"] for plan in plans]
        deploy = Step("deploy", "callback", 3)
        plans = [replace(plan, steps=[deploy, *steps]) for plan, steps in zip(plans, later, strict=True)]
    with tree_of(older) as tree:
        run_to_end(run_all(plans, parallel, keep, done, older=tree, settings=SHORT if short else {}))
    if any(one["violations"] for one in rows):
        raise typer.Exit(1)


def _add(scenario: Callable[[Path, int], Coroutine[Any, Any, Row]], default: int) -> None:
    @app.command(scenario.__name__, help=scenario.__doc__)
    def command(*, items: Items = default, out: Out = RESULTS, keep: Keep = KEPT) -> None:
        machine = describe_machine("bench.chaos")
        verdict = run_to_end(scenario(keep, items))
        write_scenario(out, verdict, machine)
        console.print(f"{verdict['scenario']}: {verdict['text']} ({verdict['seconds']} s)")
        if verdict["violations"]:
            _print_violations([verdict["violations"]], f"evidence in {keep}")
            raise typer.Exit(1)


def _print_violations(violations: list[str], more: str) -> None:
    for line in (*(f"violation: {violation}" for violation in violations), more):
        console.print(f"  {line}")


def write_scenario(out: Path, verdict: Row, machine: Row) -> None:
    """Write a scenario's row, with its machine, over its last one, and the table of all."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{SINGLE}.csv"
    others = read_frame(out, SINGLE).to_dicts() if path.exists() else []
    rows = [verdict | {name: machine[name] for name in _MACHINE}]
    rows += [other for other in others if other["scenario"] != verdict["scenario"]]
    as_frame(rows).sort("scenario").write_csv(path)
    write_files(out, render(out))


def render(folder: Path) -> dict[str, str]:
    """Return the pages of the rows that there are."""
    texts = {}
    if (folder / f"{NAME}.csv").exists():
        runs = read_frame(folder, NAME)
        broken = runs.filter(pl.col("violations").is_not_null()).select("seed", _in_a_cell("violations"))
        parts = [figures_table({name: (figure,) for name, figure in _totals(runs).items()})]
        parts += [table(broken)] if broken.height else []
        texts[f"{NAME}.md"] = as_page("Chaos runs", read_machine(folder, NAME), *parts)
    if (folder / f"{SINGLE}.csv").exists():
        rows = read_frame(folder, SINGLE).drop("date", "cores", "load_before")
        texts[f"{SINGLE}.md"] = f"# Chaos scenarios\n\n{table(rows.with_columns(_in_a_cell('violations')))}\n"
    return texts


def _totals(runs: pl.DataFrame) -> dict[str, Any]:
    faults: Counter[str] = Counter()
    for cell in runs["faults"].drop_nulls():
        faults.update({kind: int(times) for kind, times in (pair.split("=") for pair in cell.split())})
    states = Counter(runs["state"].fill_null("nothing")).most_common()
    sums = runs.select(pl.col(_SUMMED).sum()).row(0, named=True)
    return {
        "runs": runs.height,
        "runs with a violation": runs["violations"].count(),
        "ended as": ", ".join(f"{state} {times}" for state, times in states),
        "redriven": runs["redriven"].sum(),
        **{name.replace("_", " "): figure for name, figure in sums.items()},
        "seconds, added up": float(runs["seconds"].sum()),
        "faults": faults.total(),
        **dict(sorted(faults.items())),
    }


def _in_a_cell(name: str) -> pl.Expr:
    return pl.col(name).cast(pl.String).str.replace_all("|", "/", literal=True)


for _scenario, _items in SCENARIOS.items():
    _add(_scenario, _items)

if __name__ == "__main__":
    app()
