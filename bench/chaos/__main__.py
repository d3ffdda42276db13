"""Chaos runs: `python -m bench.chaos --seed 17` replays one, `--runs 200` runs many and writes their figures."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.chaos import report
from bench.chaos.plan import EVERYTHING, FULL, SHORT, make_plan
from bench.chaos.run import Series, run_all
from bench.chaos.scenarios import SCENARIOS
from bench.kit.cli import Out, new_app, new_console, run_to_end
from bench.kit.machine import RESULTS, ROOT, describe_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from bench.chaos.run import Result
    from bench.chaos.scenarios import Verdict

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
    product = EVERYTHING - frozenset(without or ())
    seeds = [seed] if seed is not None else range(first, first + runs)
    scale = SHORT if short else FULL
    plans = [make_plan(number, scale, product) for number in seeds]
    machine = describe_machine("bench.chaos")
    options = " --short" * short + "".join(f" --without {name}" for name in without or ())
    results: list[Result] = []

    def done(result: Result) -> None:
        results.append(result)
        if seed is None:
            # After each run, so that an interrupted series leaves its results.
            report.write_runs(out, [report.row(result) for result in results], machine)

    run_to_end(run_all(plans, scale, parallel, Series(console, keep, done, options)))
    if seed is None:
        console.print(f"Rows and totals: {out}/chaos.csv, .json, .md")
    if any(result.violations for result in results):
        raise typer.Exit(1)


def _add(scenario: Callable[[Path, int], Coroutine[Any, Any, Verdict]], default: int) -> None:
    @app.command(scenario.__name__, help=scenario.__doc__)
    def command(*, items: Items = default, out: Out = RESULTS, keep: Keep = KEPT) -> None:
        machine = describe_machine("bench.chaos")
        verdict = run_to_end(scenario(keep, items))
        report.write_scenario(out, verdict, machine)
        console.print(f"{verdict.name}: {verdict.text} ({verdict.seconds:.1f} s, {verdict.model_calls:,} model calls)")
        for violation in verdict.violations:
            console.print(f"  violation: {violation}")
        if verdict.violations:
            raise typer.Exit(1)


for _scenario, _items in SCENARIOS.items():
    _add(_scenario, _items)

if __name__ == "__main__":
    app()
