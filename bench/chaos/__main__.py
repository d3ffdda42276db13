"""Chaos runs: `python -m bench.chaos --seed 17` replays one, `--runs 200` runs many and writes their figures."""

import logging
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.chaos.plan import EVERYTHING, FULL, SHORT, make_plan
from bench.chaos.report import NAME, Row, render, row, write_scenario
from bench.chaos.run import Result, run_all
from bench.chaos.scenarios import SCENARIOS
from bench.kit.cli import Out, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, ROOT, describe_machine
from bench.kit.results import publish_rows

KEPT = ROOT / "build" / "chaos"

Seed = Annotated[int | None, typer.Option(help="Run this one seed, and write no figures.")]
Runs = Annotated[int, typer.Option(min=1, help="How many seeds to run.")]
First = Annotated[int, typer.Option(help="The first of them.")]
Short = Annotated[bool, typer.Option("--short", help="Small batches and few faults, as in the tests.")]
Without = Annotated[list[str] | None, typer.Option(help=f"Leave out: {', '.join(sorted(EVERYTHING))}.")]
Parallel = Annotated[int, typer.Option(min=1, help="Runs side by side, each on a stack of its own.")]
Items = Annotated[int, typer.Option(min=100, help="Items of the batch.")]
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
    without: Without = None,
    parallel: Parallel = 1,
    out: Out = RESULTS,
    keep: Keep = KEPT,
) -> None:
    """Run batches under the faults of seeds; exit code 1 when one broke a promise."""
    # The queue-workers would warn of every callback that a plan makes fail.
    logging.getLogger("pipeline.local").setLevel(logging.ERROR)
    if context.invoked_subcommand:
        return
    seeds = [seed] if seed is not None else range(first, first + runs)
    scale = SHORT if short else FULL
    plans = [make_plan(number, scale, EVERYTHING - frozenset(without or ())) for number in seeds]
    options = " --short" * short + "".join(f" --without {name}" for name in without or ())
    machine, rows = describe_machine("bench.chaos"), list[Row]()

    def done(result: Result) -> None:
        rows.append(row(result))
        figures = " ".join(f"{name}={figure}" for name, figure in rows[-1].items() if name != "violations")
        console.print(f"{time.strftime('%H:%M:%S')} {figures}")
        if result.violations:
            again = f"python -m bench.chaos --seed {result.plan.seed}{options}"
            _print_violations(result.violations, f"evidence in {keep}; again: {again}")
        if seed is None:
            # After each run, so that an interrupted series leaves its results.
            publish_rows(out, machine, {NAME: sorted(rows, key=lambda one: int(one["seed"]))}, render)

    run_to_end(run_all(plans, scale, parallel, keep, done))
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


for _scenario, _items in SCENARIOS.items():
    _add(_scenario, _items)

if __name__ == "__main__":
    app()
