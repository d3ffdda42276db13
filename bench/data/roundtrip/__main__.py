"""The same rows in and out: `python -m bench.data.roundtrip`, ten minutes on local stacks."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
import uvloop
from rich.console import Console

from bench.data.roundtrip.dataset import FORMS, make_rows
from bench.data.roundtrip.report import as_page
from bench.data.roundtrip.running import Run, run_form
from bench.kit.cli import in_one_line
from bench.kit.machine import describe_machine
from bench.kit.publish import publish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.data.roundtrip.dataset import Form

OUT = Path(__file__).parents[2] / "results"

Items = Annotated[int, typer.Option(min=1, help="Rows of the input.")]
Workers = Annotated[int, typer.Option(min=1, help="Queue-workers working at once.")]
Only = Annotated[list[str] | None, typer.Option("--form", help="Of the forms only this; may be repeated.")]
Out = Annotated[Path, typer.Option(help="The folder for the results.")]

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(*, items: Items = 1_000_000, workers: Workers = 4, only: Only = None, out: Out = OUT) -> None:
    """Send rows through the pipeline in each format, and check that each output holds the same rows.

    Ends with exit code 1 at the first difference.
    """
    machine = describe_machine("bench.data.roundtrip", sys.argv[1:])
    console = Console(soft_wrap=True, highlight=False, markup=False)
    forms = [form for form in FORMS if only is None or form.name in only]
    if not forms:
        raise typer.BadParameter(f"expected --form of {', '.join(form.name for form in FORMS)}")
    with in_one_line(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runs = runner.run(_measure(forms, items, workers, console))
    page = as_page(runs, machine)
    publish(out, "roundtrip", runs, machine, page)
    console.print(page)


async def _measure(forms: Sequence[Form], items: int, workers: int, console: Console) -> list[Run]:
    rows, runs = make_rows(items), []
    for form in forms:
        console.print(f"{items:,} rows of {form.name}")
        with tempfile.TemporaryDirectory(prefix="roundtrip-") as folder:
            runs.append(await run_form(form, rows, workers, Path(folder)))
    return runs


if __name__ == "__main__":
    app()
