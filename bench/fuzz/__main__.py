"""Fuzz the function: `python -m bench.fuzz --minutes 10`; exit code 1 when a promise was broken."""

from __future__ import annotations

import asyncio
import logging
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from bench.fuzz.report import markdown
from bench.fuzz.running import Result, run
from bench.fuzz.stage import ROOT, stage
from bench.kit.machine import describe_machine
from pipeline.local.errors import LocalError

OUT = Path(__file__).parents[1] / "results" / "fuzz.md"
KEPT = ROOT / "build" / "fuzz"
INTERRUPTED = 130

Minutes = Annotated[float, typer.Option(min=0, help="For how long new conversations are begun.")]
Seed = Annotated[int, typer.Option(min=1, help="What they are made from.")]
Out = Annotated[Path, typer.Option(help="The page of results.")]
Keep = Annotated[Path, typer.Option(help="The folder for the function's log.")]


def main(*, minutes: Minutes = 10, seed: Seed = 1, out: Out = OUT, keep: Keep = KEPT) -> None:
    """Send hostile requests to a function of its own, and write down how it answered."""
    console = Console(soft_wrap=True, highlight=False, markup=False)
    # The queue-workers would warn of every message and callback that is made to fail.
    logging.getLogger("pipeline.local").setLevel(logging.CRITICAL)
    machine = describe_machine("bench.fuzz", sys.argv[1:])
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            result, log = runner.run(fuzz(seed, minutes * 60))
    except LocalError as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    for folder in (out.parent, keep):
        folder.mkdir(parents=True, exist_ok=True)
    (keep / f"pipeline-{seed}.log").write_text(log)
    page = markdown(result, machine)
    out.write_text(page)
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


if __name__ == "__main__":
    typer.run(main)
