"""Chaos runs: `python -m bench.chaos --seed 17` replays one, `--runs 200` makes many and writes their figures."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import uvloop
from rich.console import Console

from bench.chaos.plan import EVERYTHING, FULL, SHORT, Plan, make_plan
from bench.chaos.report import markdown, row, write_rows
from bench.chaos.running import Result, run
from bench.chaos.stage import ROOT, stage
from bench.machine import describe_machine
from pipeline.local.errors import LocalError

if TYPE_CHECKING:
    from collections.abc import Sequence

RESULTS = Path(__file__).parents[1] / "results"
KEPT = ROOT / "build" / "chaos"
INTERRUPTED = 130

Seed = Annotated[int | None, typer.Option(help="Run this one seed, and write no figures.")]
Runs = Annotated[int, typer.Option(min=1, help="How many seeds to run.")]
First = Annotated[int, typer.Option(help="The first of them.")]
Short = Annotated[bool, typer.Option("--short", help="Small batches and few faults, as in the tests.")]
Without = Annotated[list[str] | None, typer.Option(help=f"Leave these out: {', '.join(sorted(EVERYTHING))}.")]
Parallel = Annotated[int, typer.Option(min=1, help="Runs side by side, each on a stack of its own.")]
Out = Annotated[Path, typer.Option(help="The folder for the figures.")]
Keep = Annotated[Path, typer.Option(help="The folder for what belongs to violations.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


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
    if context.invoked_subcommand:
        return
    console = Console(soft_wrap=True, highlight=False)
    # The queue-workers would warn of every callback that a plan makes fail.
    logging.getLogger("pipeline.local").setLevel(logging.ERROR)
    product = EVERYTHING - frozenset(without or ())
    scale = SHORT if short else FULL
    seeds = [seed] if seed is not None else list(range(first, first + runs))
    plans = [make_plan(number, scale, product) for number in seeds]
    machine = describe_machine("bench.chaos", sys.argv[1:])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            results = runner.run(run_all(plans, parallel, keep, console))
    except LocalError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if seed is None:
        out.mkdir(parents=True, exist_ok=True)
        rows = [row(result) for result in results]
        write_rows(out / "chaos.csv", rows)
        (out / "chaos.json").write_text(json.dumps(machine, indent=2) + "\n")
        (out / "chaos.md").write_text(markdown(rows, [], machine))
        console.print(f"Rows and totals: {out}/chaos.csv, .md")
    if any(result.violations for result in results):
        raise typer.Exit(1)


async def run_all(plans: Sequence[Plan], parallel: int, keep: Path, console: Console) -> list[Result]:
    """Run the plans one after the other on each of `parallel` stacks."""
    waiting = list(reversed(plans))
    results: list[Result] = []

    async def work() -> None:
        while waiting:
            async with stage() as one:
                while waiting:
                    plan = waiting.pop()
                    result = await run(one, plan, f"chaos-{plan.seed}", keep)
                    results.append(result)
                    tell(console, result, keep)
                    if result.violations:
                        # What is left of it could be in the way of the next.
                        break

    await asyncio.gather(*(work() for _ in range(parallel)))
    return results


def tell(console: Console, result: Result, keep: Path) -> None:
    """Print one line for a run, and what to do about a violation."""
    figures: dict[str, Any] = row(result)
    names = ("items", "state", "succeeded", "failed", "never_run", "model_calls", "repeated_calls", "seconds")
    text = " ".join(f"{name}={figures[name]}" for name in names)
    steps = f"{figures['steps_fired']}/{figures['steps_planned']} steps"
    console.print(f"{time.strftime('%H:%M:%S')} seed {result.plan.seed}: {text} {steps} {figures['faults']}")
    for violation in result.violations:
        console.print(f"  violation: {violation}")
    if result.violations:
        console.print(
            f"  kept in {keep}/chaos-{result.plan.seed}; again: python -m bench.chaos --seed {result.plan.seed}"
        )


if __name__ == "__main__":
    app()
