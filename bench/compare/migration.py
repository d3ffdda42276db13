"""The same CSV through the original's three functions and through the pipeline: `python -m bench.compare.migration`.

It fails unless both summaries agree on every item.
"""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from bench.compare import peers
from bench.compare.run import Submission
from bench.compare.stage import Ground, stage
from bench.compare.summary import Document, make_items
from bench.compare.ways import FORMS, Layout
from bench.kit.cli import Out, errors_in_one_line, measure, new_app
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS
from bench.kit.results import as_page, read_frame, read_machine, table
from pipeline.local.services.redis_and_s3 import redis_server, s3_server

NAME = "migration"
SECONDS = 300
# The fields of an entry that do not depend on the way; its call id does.
SAME = ("item", "result", "statusCode")
COLUMNS = ("way", "results", "failures", "fields", "fields of a result", "results in input order")

Items = Annotated[int, typer.Option(min=1, help="Items of the CSV; a tenth of them fails.")]

app = new_app()


@app.command()
def main(*, items: Items = 200, out: Out = RESULTS) -> None:
    """Run one CSV both ways, compare the summaries and write the page."""
    with errors_in_one_line():
        peers.install()
    measure("bench.compare.migration", _run(make_items(items)), out, render)


async def _run(items: list[str]) -> dict[str, list[dict[str, object]]]:
    summaries = []
    async with redis_server() as redis, s3_server() as s3:
        for way in ("original", "pipeline"):
            form = next(form for form in FORMS if form.name == way)
            async with (
                stage(form.way, Ground(redis, s3, fails="items"), Layout(4)) as ready,
                Submission(ready, form, items) as submission,
            ):
                summaries.append(await submission.wait_at_most(SECONDS))
    original, pipeline = summaries
    if differ := differences(original, pipeline):
        raise BenchError(f"the summaries differ: {'; '.join(differ)}")
    return {NAME: [as_row("original", original), as_row("pipeline", pipeline)]}


def differences(original: Document, pipeline: Document) -> list[str]:
    """Return the differences between two summaries, [] where they agree on every item in any order."""
    theirs, ours = (
        Counter(
            f"{name}: {entry}"
            for name in ("results", "failures")
            for entry in (one[name]["count"], *([line.get(field) for field in SAME] for line in one[name]["results"]))
        )
        for one in (original, pipeline)
    )
    return [
        *(f"only the original has {entry}" for entry in theirs - ours),
        *(f"only the pipeline has {entry}" for entry in ours - theirs),
    ]


def as_row(way: str, summary: Document) -> dict[str, object]:
    """Return the counts of a summary, and what two summaries need not have in common."""
    entries = summary["results"]["results"]
    items = [entry["item"] for entry in entries]
    counts = (summary[name]["count"] for name in ("results", "failures"))
    fields = (", ".join(f"`{name}`" for name in document) for document in (summary, entries[0]))
    return dict(zip(COLUMNS, (way, *counts, *fields, "yes" if items == sorted(items) else "no"), strict=True))


def render(folder: Path) -> dict[str, str]:
    """Return the page of the rows."""
    text = f"Each item has the same {', '.join(f'`{name}`' for name in SAME)} in both summaries."
    lines = table(read_frame(folder, NAME), {name: (name, "") for name in COLUMNS})
    title = "The same CSV, the original's three functions and one specification"
    return {f"{NAME}.md": as_page(title, read_machine(folder, NAME), text, lines)}


if __name__ == "__main__":
    app()
