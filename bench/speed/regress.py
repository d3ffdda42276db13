"""Has the pipeline become slower? `python -m bench.speed.regress`: a minute on a local stack, exit code 1 if it has."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop
from rich.console import Console
from rich.table import Table

from bench.kit import platforms
from bench.kit.cli import in_one_line
from bench.kit.errors import BenchError
from bench.kit.figures import BARE
from bench.kit.machine import describe_machine
from bench.kit.sweep import Sweep, sweep
from bench.speed.regression import Ratios, as_document, judge, ratios

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.speed.regression import Verdict

RECORD = Path(__file__).parents[1] / "results" / "regress.json"
WAYS = (BARE, "chunk 1", "direct", "chunk 10")
PARALLELISM = 4
MODEL_MS = 0
MOST_SLACK = 0.5

Repeats = Annotated[int, typer.Option(min=3, help="Batches a way; medians are compared.")]
Items = Annotated[int, typer.Option(min=1, help="Items a batch.")]
Slack = Annotated[float, typer.Option(min=0, max=MOST_SLACK, help="How much worse than noise may be, as a share.")]
Against = Annotated[Path, typer.Option(help="The ratios to compare with.")]
Record = Annotated[bool, typer.Option("--record", help="Compare nothing: keep this run's ratios there.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    repeats: Repeats = 7,
    items: Items = 1_000,
    slack: Slack = 0.05,
    against: Against = RECORD,
    record: Record = False,
) -> None:
    """Compare throughput and processor time, as multiples of the bare queue's, with those on record."""
    console = Console()
    machine = describe_machine("bench.speed.regress", sys.argv[1:])
    with in_one_line():
        recorded = {} if record else _read(against)
        plan = Sweep(WAYS, (PARALLELISM,), (MODEL_MS,), repeats, items)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            now = ratios(runner.run(sweep(plan, platforms.local((MODEL_MS,)), console)))
    if record:
        against.write_text(json.dumps(as_document(now, machine), indent=2) + "\n")
        return
    verdicts = judge(recorded, now, slack)
    console.print(_table(verdicts))
    if any(verdict.is_worse for verdict in verdicts):
        typer.echo("error: slower than on record, by more than noise explains", err=True)
        raise typer.Exit(1)


def _read(path: Path) -> Ratios:
    """Read what `--record` wrote; raises BenchError."""
    try:
        found: Ratios = json.loads(path.read_text())["ratios"]
    except (OSError, ValueError, KeyError) as error:
        raise BenchError(f"there are no ratios on record at {path}: make them with --record") from error
    return found


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table(title="Multiples of the bare queue's (medians)", title_justify="left")
    for head in ("", "on record", "bound", "now", ""):
        table.add_column(head, justify="right" if head else "left")
    for verdict in verdicts:
        figures = (f"{value:.3f}" for value in (verdict.recorded, verdict.bound, verdict.now))
        table.add_row(verdict.name, *figures, "worse" if verdict.is_worse else "")
    return table


if __name__ == "__main__":
    app()
