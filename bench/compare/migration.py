"""The same CSV through the original's three functions and through the pipeline: `python -m bench.compare.migration`.

It fails unless both summaries agree on every item.
"""

import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from bench.compare import peers
from bench.compare.run import Submission
from bench.compare.stage import Ground, stage
from bench.compare.summary import Document, make_items
from bench.compare.ways import FORMS, Form, Layout
from bench.kit.cli import Out, errors_in_one_line, new_app, new_console, run_to_end
from bench.kit.errors import BenchError
from bench.kit.machine import RESULTS, describe_machine
from bench.kit.results import as_page, publish_rows, read_frame, read_machine, table
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
    machine = describe_machine("bench.compare.migration")
    with errors_in_one_line():
        peers.install()
    original, pipeline = run_to_end(_run(make_items(items)))
    with errors_in_one_line():
        if differ := differences(original, pipeline):
            raise BenchError(f"the summaries differ: {'; '.join(differ)}")
    rows = [as_row("original", original), as_row("pipeline", pipeline)]
    new_console().print(publish_rows(out, machine, {NAME: rows}, render))


async def _run(items: list[str]) -> list[Document]:
    async with redis_server() as redis, s3_server() as s3:
        ground, forms = Ground(redis, s3, fails="items"), {form.name: form for form in FORMS}
        return [await _summary(forms[way], ground, items) for way in ("original", "pipeline")]


async def _summary(form: Form, ground: Ground, items: list[str]) -> Document:
    async with stage(form.way, ground, Layout(4)) as ready, Submission(ready, form, items) as submission:
        end = time.monotonic() + SECONDS
        document = await submission.wait(lambda: time.monotonic() > end)
    if document is None:
        raise BenchError(f"{form.way}: no summary after {SECONDS} s")
    return document


def differences(original: Document, pipeline: Document) -> list[str]:
    """Return the differences between two summaries, [] where they agree on every item in any order."""
    differ = []
    for name in ("results", "failures"):
        counts = original[name]["count"], pipeline[name]["count"]
        if counts[0] != counts[1]:
            differ.append(f"{name}: {counts[0]} and {counts[1]}")
        theirs, ours = (
            Counter(repr([entry.get(field) for field in SAME]) for entry in one[name]["results"])
            for one in (original, pipeline)
        )
        differ += [f"{name}: only the original has {entry}" for entry in theirs - ours]
        differ += [f"{name}: only the pipeline has {entry}" for entry in ours - theirs]
    return differ


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
