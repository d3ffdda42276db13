"""Fuzz the function: `python -m bench.fuzz --minutes 10`; exit code 1 when a promise was broken."""

from __future__ import annotations

import logging
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.fuzz.run import Result, run
from bench.fuzz.stage import stage
from bench.kit.cli import Out, new_console, run_to_end
from bench.kit.machine import RESULTS, ROOT, describe_machine
from bench.kit.publish import facts, markdown_table, publish

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT = ROOT / "build" / "fuzz"

Minutes = Annotated[float, typer.Option(min=0, help="For how long new conversations are begun.")]
Seed = Annotated[int, typer.Option(min=1, help="What they are made from.")]
Keep = Annotated[Path, typer.Option(help="The folder for the function's log.")]


def main(*, minutes: Minutes = 10, seed: Seed = 1, out: Out = RESULTS, keep: Keep = KEPT) -> None:
    """Send hostile requests to a function of its own, and write down how it answered."""
    console = new_console()
    # The queue-workers would warn of every message and callback that is made to fail.
    logging.getLogger("pipeline.local").setLevel(logging.CRITICAL)
    machine = describe_machine("bench.fuzz")
    result, log = run_to_end(fuzz(seed, minutes * 60))
    keep.mkdir(parents=True, exist_ok=True)
    (keep / f"pipeline-{seed}.log").write_text(log)
    page = markdown(result, machine)
    publish(out, "fuzz", page=page)
    console.print(page)
    if result.seen.violations:
        console.print(f"The function's log is in {keep}")
        raise typer.Exit(1)


async def fuzz(seed: int, seconds: float) -> tuple[Result, str]:
    """Run on a stack of its own; returns the function's log too."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        async with stage(Path(folder)) as one:
            result = await run(one, seed, until=time.monotonic() + seconds)
            return result, one.log


def markdown(result: Result, machine: Mapping[str, Any]) -> str:
    """Return the page: the run, its answers by operation and status, and its violations."""
    seen = result.seen
    counts = {pair: count for pair, count in seen.counts.items() if pair[1] != "-"}
    statuses = sorted({status for _, status in counts})
    rows = {name: {status: counts.get((name, status), 0) for status in statuses} for name, _ in sorted(counts)}
    rows["all"] = {status: sum(row[status] for row in rows.values()) for status in statuses}
    figures = {
        "seed": result.seed,
        "conversations": result.conversations,
        "seconds": f"{result.seconds:.0f}",
        "answers": sum(counts.values()),
        "requests without an answer that needed one": seen.counts["no answer", "-"],
        "batches taken": len(seen.accepted),
        "violations": len(seen.violations),
    }
    lines = ["# Hostile requests", "", *facts(machine), "", *markdown_table(("figure", "value"), figures.items())]
    lines += ["", "Answers by operation and status; `raw` is a broken request, or several in one.", ""]
    table = [(name, *(count or "" for count in row.values()), sum(row.values())) for name, row in rows.items()]
    lines += markdown_table(("operation", *statuses, "all"), table)
    if seen.violations:
        lines += ["", "## Violations", "", *(f"- `{violation[:1000]}`" for violation in seen.violations)]
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    typer.run(main)
