"""Fuzz the function: `python -m bench.fuzz --minutes 10`; exit code 1 when a promise was broken."""

import logging
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import polars as pl
import typer

from bench.fuzz.run import run
from bench.fuzz.sending import Seen
from bench.fuzz.stage import stage
from bench.kit.cli import Out, new_console, run_to_end
from bench.kit.machine import RESULTS, ROOT, describe_machine
from bench.kit.results import as_page, figures_table, publish_rows, read_frame, read_machine, table

NAME = "fuzz"
BROKEN = 500
KEPT = ROOT / "build" / "fuzz"

Minutes = Annotated[float, typer.Option(min=0, help="For how long new conversations are begun.")]
Seed = Annotated[int, typer.Option(min=1, help="What they are made from.")]
Keep = Annotated[Path, typer.Option(help="The folder for the function's log.")]


def main(*, minutes: Minutes = 10, seed: Seed = 1, out: Out = RESULTS, keep: Keep = KEPT) -> None:
    """Send hostile requests to a function of its own, and write down how it answered."""
    # The queue-workers would warn of every message and callback that is made to fail.
    logging.getLogger("pipeline.local").setLevel(logging.CRITICAL)
    machine, console = describe_machine("bench.fuzz"), new_console()
    seen, log = run_to_end(fuzz(seed, minutes * 60))
    keep.mkdir(parents=True, exist_ok=True)
    (keep / f"pipeline-{seed}.log").write_text(log)
    console.print(publish_rows(out, machine | figures(seen), {NAME: rows(seen)}, render))
    if seen.violations:
        console.print(f"The function's log is in {keep}")
        raise typer.Exit(1)


async def fuzz(seed: int, seconds: float) -> tuple[Seen, str]:
    """Run on a stack of its own; returns the function's log too."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        async with stage(Path(folder)) as one:
            return await run(one, seed, until=time.monotonic() + seconds), one.log


def rows(seen: Seen) -> list[dict[str, Any]]:
    """Return the answers by operation and status."""
    return [{"operation": name, "status": status, "answers": n} for (name, status), n in sorted(seen.counts.items())]


def figures(seen: Seen) -> dict[str, Any]:
    """Return what else a run is published with."""
    return {
        "conversations": seen.conversations,
        "unanswered": seen.unanswered,
        "batches": len(seen.accepted),
        "violations": [violation[:1000] for violation in seen.violations],
    }


def render(folder: Path) -> dict[str, str]:
    """Return the page: the run, its answers by operation and status, and its violations; and its line of README.md."""
    answers, run = read_frame(folder, NAME), read_machine(folder, NAME)
    shown = {
        "conversations": run["conversations"],
        "answers": answers["answers"].sum(),
        "requests without an answer that needed one": run["unanswered"],
        "batches taken": run["batches"],
        "violations": len(run["violations"]),
    }
    wide = answers.pivot(on="status", index="operation", values="answers", sort_columns=True)
    wide = pl.concat([wide, wide.select(pl.lit("all").alias("operation"), pl.exclude("operation").sum())])
    parts = [
        figures_table({name: (figure,) for name, figure in shown.items()}),
        "Answers by operation and status; `raw` is a broken request, or several in one.",
        table(wide.with_columns(pl.sum_horizontal(pl.exclude("operation")).alias("all"))),
        *(f"- violation: `{violation}`" for violation in run["violations"]),
    ]
    broken = answers.filter(pl.col("status") == BROKEN)["answers"].sum()
    attack = f"{shown['answers']:,} answers, {broken:,} of them {BROKEN}"
    return {f"{NAME}.md": as_page("Hostile requests", run, *parts), "attack": attack}


if __name__ == "__main__":
    typer.run(main)
